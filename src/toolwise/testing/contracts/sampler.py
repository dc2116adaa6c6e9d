"""The contract of a sampler."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

from toolwise.core import ToolwiseError
from toolwise.sampling import FinishReason, Sample, Sampler, SamplingParams
from toolwise.testing.contracts.requirement import require

_CROWD = 6


def check_sampler(sampler: Sampler, prompt_ids: Sequence[int] = (1, 2, 3), max_tokens: int = 8) -> None:
    """Check a sampler on a prompt.

    A sample has a log-probability for each token and says why it ended; it depends on its own seed and not on
    its neighbours; greedy samples repeat; stop tokens and limits are kept; and prompts that leave no room are
    refused.

    Args:
        sampler: What is checked.
        prompt_ids: At least one token that the model knows.
        max_tokens: Length of the samples, ≥ 2.

    Raises:
        AssertionError: Says what is broken.
    """
    asyncio.run(_check(sampler, list(prompt_ids), SamplingParams(max_tokens=max_tokens)))


async def _check(sampler: Sampler, prompt: list[int], params: SamplingParams) -> None:
    seeds = [replace(params, seed=seed) for seed in range(_CROWD)]
    crowd = await asyncio.gather(*(sampler.generate(prompt, each) for each in seeds))
    for sample in crowd:
        _check_sample(sample, params, sampler.context_length - len(prompt))
    alone = await sampler.generate(prompt, seeds[-1])
    require(alone.token_ids == crowd[-1].token_ids, "a sample depends on what is sampled beside it")
    greedy = replace(params, temperature=0.0)
    first = await sampler.generate(prompt, greedy)
    second = await sampler.generate(prompt, replace(greedy, seed=1))
    require(first.token_ids == second.token_ids, "greedy samples of one prompt differ")
    stopped = await sampler.generate(prompt, replace(greedy, stop_token_ids=first.token_ids[:1]))
    require(
        stopped.token_ids == first.token_ids[:1] and stopped.finish_reason is FinishReason.STOP,
        "a sample does not end with, and include, the first stop token",
    )
    one = await sampler.generate(prompt, replace(greedy, max_tokens=1))
    require(one.token_ids == first.token_ids[:1], "a sample of at most one token is another one")
    for refused, name in (([], "an empty prompt"), (prompt[:1] * sampler.context_length, "a full context")):
        try:
            await sampler.generate(refused, params)
        except ToolwiseError:
            continue
        raise AssertionError(f"{name} is not refused with a ToolwiseError")


def _check_sample(sample: Sample, params: SamplingParams, room: int) -> None:
    count = len(sample.token_ids)
    require(count >= 1, "a sample has no token")
    require(
        len(sample.logprobs) == count,
        f"a sample has {len(sample.logprobs)} log-probabilities for {count} tokens",
    )
    require(
        all(math.isfinite(each) and each <= 1e-6 for each in sample.logprobs),
        "a log-probability is above 0 or not finite",
    )
    require(count <= min(params.max_tokens, room), f"a sample has {count} tokens, more than it may")
    reasons = {FinishReason.LENGTH: params.max_tokens, FinishReason.CONTEXT: room}
    require(
        count == reasons.get(sample.finish_reason, count),
        f"a sample of {count} tokens says that it ended because of '{sample.finish_reason}'",
    )
