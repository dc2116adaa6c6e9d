"""The contract of a sampler: the embedded engine and servers alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from toolwise.core import ToolwiseError


class FinishReason(StrEnum):
    """Why a sample ended."""

    STOP = "stop"
    LENGTH = "length"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to sample one completion.

    Attributes:
        max_tokens: At most this many tokens, ≥ 1.
        temperature: ≥ 0; 0 is greedy. Log-probabilities are those of the distribution at this
            temperature (at 1 when greedy), before `top_k` and `top_p` cut it.
        top_p: Nucleus, in (0, 1].
        top_k: Keep only the k likeliest tokens; 0 keeps all.
        stop_token_ids: A sample ends with (and includes) the first of these.
        stop: A sample ends when its text contains one of these strings.
        seed: All randomness of the sample derives from it.
    """

    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop_token_ids: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}; it must be at least 1")
        if self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}; it must be at least 0")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be in (0, 1]")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; it must be at least 0")


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion.

    Attributes:
        token_ids: Shape (L,), the end token included when one was sampled.
        logprobs: Shape (L,).
        finish_reason: Why it ended.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason


class Sampler(Protocol):
    """Token ids in, token ids out."""

    @property
    def context_length(self) -> int:
        """Most tokens that prompt and completion may have together."""
        ...

    async def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> Sample:
        """Sample one completion; concurrent calls are batched, equal prompts are computed once."""
        ...


def room_after(prompt_ids: Sequence[int], context_length: int) -> int:
    """Tokens that a sample may have after a prompt, ≥ 1.

    Raises:
        ToolwiseError: The prompt is empty or leaves no room in the context.
    """
    if not prompt_ids:
        raise ToolwiseError("an empty prompt cannot be sampled from", mend="render at least one token")
    room = context_length - len(prompt_ids)
    if room < 1:
        raise ToolwiseError(
            f"the prompt has {len(prompt_ids)} tokens and the context of the model {context_length}",
            mend="shorten the prompt or take a model with a longer context",
        )
    return room
