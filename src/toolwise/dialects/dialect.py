"""Dialect: how one family of models writes a turn, as tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

from toolwise.core import ErrorKind, Message, ToolCall, ToolResult, Turn


@dataclass(frozen=True, slots=True)
class ParsedTurn:
    """What one assistant turn says.

    Attributes:
        text: The whole turn, special tokens included.
        thought: What stands in its think blocks, without the tags.
        calls: Its tool calls in order, those that cannot be read included (with their error).
        answer: Its final answer; None if it gives none.
        error: What is wrong with the turn as a whole: MALFORMED_CALL if any of its calls is, and if the turn
            has neither call nor answer in a dialect that wants one. Such a turn is answered by an observation
            without results, and the rollout goes on.
        content: The text without the tokens that end a turn; None where the dialect does not say.
        words: What a turn with calls says beside them and its thought; empty where the dialect does not say.
    """

    text: str
    thought: str = ""
    calls: tuple[ToolCall, ...] = ()
    answer: str | None = None
    error: ErrorKind | None = None
    content: str | None = None
    words: str = ""

    def as_turn(self, token_ids: Sequence[int], **own: Any) -> Turn:
        """The assistant turn that says this.

        Args:
            token_ids: Its tokens, shape (L,).
            own: Other fields of the turn, or values in place of what was read.
        """
        read = {item.name: getattr(self, item.name) for item in fields(self)}
        return Turn("assistant", tuple(token_ids), **(read | own))


@runtime_checkable
class Dialect(Protocol):
    """Renders prompts and observations to tokens, and reads sampled turns.

    A rollout is the prompt, then in turns what the policy sampled and the observation that answers it. Each
    piece is tokenized once, alone; nothing that has been sampled is ever tokenized again.

    Attributes:
        stop_token_ids: Tokens that end an assistant turn.
        stop_strings: Texts that end an assistant turn, which keeps them; most dialects have none.
    """

    stop_token_ids: tuple[int, ...]
    stop_strings: tuple[str, ...]

    def render_prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[int]:
        """Tokens of the conversation so far, up to where the assistant starts to write, shape (L,).

        Args:
            messages: OpenAI-style.
            tools: OpenAI function objects, as `Toolbox.specs` gives them.

        Raises:
            ToolwiseError: This model's template cannot render them.
        """
        ...

    def parse(self, token_ids: Sequence[int]) -> ParsedTurn:
        """Read one sampled turn; whatever the policy wrote, this does not raise."""
        ...

    def render_observation(self, results: Sequence[ToolResult], closed: bool) -> list[int]:
        """Exactly the tokens between a sampled turn and the next one, shape (L,).

        Args:
            results: One for each call of the turn, in order; none for a turn that did nothing, see
                `ParsedTurn.error`.
            closed: Whether the sampled turn ended with one of `stop_token_ids`; if not (it was cut), the
                token that ends a turn comes first. Where turns end at stop strings, nothing may be needed.
        """
        ...

    def render_turn(self, message: Message) -> list[int]:
        """Tokens of an assistant message of a demonstration, with its end token or stop string, shape (L,).

        They are the tokens that the policy would have to sample after `render_prompt` to say the same.

        Args:
            message: ``content``, ``reasoning_content`` (the thought) and ``tool_calls``, each optional.
        """
        ...


def without_stops(token_ids: Sequence[int], stop_token_ids: Sequence[int]) -> list[int]:
    """The tokens of a turn without the tokens at its end that end it, shape (L,)."""
    inner = list(token_ids)
    while inner and inner[-1] in stop_token_ids:
        inner.pop()
    return inner
