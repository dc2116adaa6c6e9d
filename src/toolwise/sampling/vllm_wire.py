"""The protocol of vLLM's token endpoint, ``/inference/v1/generate``: what is sent, what an answer must be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from toolwise.core import ToolwiseError
from toolwise.sampling.sampler import FinishReason, Sample, SamplingParams

PATH = "/inference/v1/generate"
_ROUNDING = 1e-4
"""A log-probability may stand above 0 by as much as rounding explains."""


class FaultyAnswerError(Exception):
    """An answer that cannot be used, though another try may give a good one."""


class StaleWeightsError(FaultyAnswerError):
    """An answer that other weights gave than the present ones."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer is held against.

    Attributes:
        model: Name of the model.
        vocabulary: Number of token ids that the learner's model knows.
        context: Most tokens of prompt and sample.
        version: Label of the weights; None takes any.
    """

    model: str
    vocabulary: int
    context: int
    version: str | None


class _Logprob(BaseModel):
    token_id: int
    logprob: float


class _Logprobs(BaseModel):
    content: list[_Logprob]


class _Span(BaseModel):
    version: str


class _Choice(BaseModel):
    token_ids: list[int]
    logprobs: _Logprobs
    finish_reason: str
    stop_reason: int | str | None = None
    weight_versions: list[_Span] | None = None


class _Usage(BaseModel):
    prompt_tokens: int


class _Answer(BaseModel):
    model: str | None = None
    choices: list[_Choice] = Field(max_length=64)
    usage: _Usage


def request_body(model: str, prompt_ids: Sequence[int], params: SamplingParams, limit: int) -> dict[str, Any]:
    """The JSON body that asks for one sample of at most `limit` tokens.

    The server's own end tokens do not end a sample: `SamplingParams` name all that do. Special tokens are
    part of the text in which stop strings are looked for, as in the embedded engine.
    """
    return {
        "model": model,
        "token_ids": list(prompt_ids),
        "sampling_params": {
            "n": 1,
            "max_tokens": limit,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "top_k": params.top_k,
            "seed": params.seed,
            "logprobs": 0,
            "ignore_eos": True,
            "stop_token_ids": list(params.stop_token_ids),
            "stop": list(params.stop),
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
        },
    }


def read_answer(
    data: bytes, prompt_ids: Sequence[int], params: SamplingParams, expected: Expected, where: str
) -> Sample:
    """The sample in a server's answer.

    Args:
        data: The body.
        prompt_ids: What was asked.
        params: How it was asked.
        expected: What the answer is held against.
        where: Names the server.

    Raises:
        StaleWeightsError: Other weights gave it.
        FaultyAnswerError: It is no answer, or one that breaks the protocol; says how.
        ToolwiseError: The server has another model or another tokenizer.
    """
    try:
        answer = _Answer.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the answer"
        raise FaultyAnswerError(f"{place}: {first['msg']}") from None
    if answer.model is not None and answer.model != expected.model:
        raise ToolwiseError(
            f"answers for the model '{answer.model}', and '{expected.model}' was asked",
            where=where,
            mend="check sampler.model against the server's --served-model-name",
        )
    if answer.usage.prompt_tokens != len(prompt_ids):
        raise ToolwiseError(
            f"read {answer.usage.prompt_tokens} prompt tokens where {len(prompt_ids)} were sent",
            where=where,
            mend="it serves another model or tokenizer: start it on the checkpoint that is trained",
        )
    if len(answer.choices) != 1:
        raise FaultyAnswerError(f"1 sample was asked for and {len(answer.choices)} came")
    return _checked(answer.choices[0], len(prompt_ids), params, expected, where)


def _checked(choice: _Choice, prompt: int, params: SamplingParams, expected: Expected, where: str) -> Sample:
    ids = tuple(choice.token_ids)
    if outside := [token for token in ids if not 0 <= token < expected.vocabulary]:
        raise ToolwiseError(
            f"sampled the token {outside[0]}, and the vocabulary ends at {expected.vocabulary - 1}",
            where=where,
            mend="it serves another model: start it on the checkpoint that is trained",
        )
    if expected.version is not None:
        versions = {span.version for span in choice.weight_versions or ()}
        if versions != {expected.version}:
            raise StaleWeightsError(f"its weights are {sorted(versions)}, not '{expected.version}'")
    content = choice.logprobs.content
    if len(content) != len(ids):
        raise FaultyAnswerError(f"{len(ids)} tokens came with {len(content)} log-probabilities")
    if [entry.token_id for entry in content] != list(ids):
        raise FaultyAnswerError("the log-probabilities belong to other tokens")
    # vLLM writes -9999 for what is not finite.
    wrong = [
        entry.logprob for entry in content if not math.isfinite(entry.logprob) or entry.logprob <= -9999.0
    ]
    if wrong or any(entry.logprob > _ROUNDING for entry in content):
        raise FaultyAnswerError("a log-probability is above 0 or not finite")
    logprobs = tuple(min(0.0, entry.logprob) for entry in content)
    return Sample(ids, logprobs, _reason(choice, ids, prompt, params, expected.context))


def _reason(
    choice: _Choice, ids: tuple[int, ...], prompt: int, params: SamplingParams, context: int
) -> FinishReason:
    limit = min(params.max_tokens, context - prompt)
    if not 1 <= len(ids) <= limit:
        raise FaultyAnswerError(f"it has {len(ids)} tokens, and between 1 and {limit} were asked for")
    if any(token in params.stop_token_ids for token in ids[:-1]):
        raise FaultyAnswerError("it goes on after a stop token")
    by_token = ids[-1] in params.stop_token_ids
    if choice.finish_reason == "stop":
        if not by_token and choice.stop_reason not in params.stop:
            raise FaultyAnswerError(f"it stopped at {choice.stop_reason!r}, which nobody asked for")
        return FinishReason.STOP
    if choice.finish_reason == "length" and by_token:
        return FinishReason.STOP
    if choice.finish_reason == "length":
        if len(ids) != limit:
            raise FaultyAnswerError(f"it ended as too long after {len(ids)} of {limit} tokens")
        return FinishReason.LENGTH if limit == params.max_tokens else FinishReason.CONTEXT
    # 'abort': the server is going down, or somebody paused it.
    raise FaultyAnswerError(f"it ended with '{choice.finish_reason}'")
