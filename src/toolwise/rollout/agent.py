"""The agent loop: sample a turn, run its calls, append what they gave, until the answer or a limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from toolwise.core import (
    ErrorKind,
    RolloutEnd,
    RolloutTree,
    StopReason,
    Task,
    Turn,
    seed_for,
)
from toolwise.dialects import Dialect
from toolwise.rollout.deadline import play_within
from toolwise.sampling import ContextLengthError, FinishReason, Sampler, SamplingParams
from toolwise.tools import Session, Toolbox


class Limits(BaseModel):
    """What ends a rollout that does not end by itself. Who was cut, and by what, is recorded.

    Attributes:
        max_turns: Assistant turns; calls of the last one are not run.
        max_turn_tokens: Tokens sampled in one turn.
        max_context: Tokens of prompt and rollout together, if that is less than the model sees at once.
        seconds: Wall-clock time of one rollout, tools included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_turns: int = Field(default=4, ge=1)
    max_turn_tokens: int = Field(default=256, ge=1)
    max_context: int | None = Field(default=None, ge=16)
    seconds: float = Field(default=600.0, gt=0)

    def context(self, model: int) -> int:
        """Most tokens of a rollout with a model that sees so many at once."""
        return model if self.max_context is None else min(model, self.max_context)


async def roll_out(
    task: Task,
    *,
    sampler: Sampler,
    dialect: Dialect,
    toolbox: Toolbox,
    params: SamplingParams,
    limits: Limits,
    samples: int = 1,
    run: Sequence[str | int] = (0,),
    group: str | None = None,
) -> RolloutTree:
    """Try a task several times at once.

    The prompt is rendered once and is the root of the tree; no rollout waits for another one.

    Args:
        task: The problem.
        sampler: Where tokens come from.
        dialect: How turns are written.
        toolbox: The tools there are.
        params: How to sample; its ``max_tokens``, ``stop…`` and ``seed`` are set turn by turn.
        limits: When to cut.
        samples: Size of the group, ≥ 1.
        run: Keys that name this visit of the task (run seed, step …); seeds derive from them.
        group: Key of the group that the rollouts are compared with; None: the task's id.

    Raises:
        ContextLengthError: The prompt does not fit into the context.
        ToolwiseError: The task names an unknown tool.
    """
    prompt_ids = tuple(dialect.render_prompt(task.prompt, toolbox.specs(task.tools)))
    context_length = limits.context(sampler.context_length)
    if len(prompt_ids) >= context_length:
        whose = "of the model" if context_length == sampler.context_length else "of a rollout"
        raise ContextLengthError(
            f"the prompt has {len(prompt_ids)} tokens and the context {whose} {context_length}",
            where=f"task '{task.id}'",
            mend="shorten the prompt, offer fewer tools, or take a model with a longer context",
        )
    prompt = Turn("prompt", prompt_ids, text=dialect.parse(prompt_ids).text)
    loop = _Loop(task, sampler, dialect, toolbox, params, limits, prompt_ids, tuple(run))
    played = await asyncio.gather(*(loop.play(sample) for sample in range(samples)))
    key = task.id if group is None else group
    ends = [RolloutEnd(0, sample, key, stop) for sample, (_, stop) in enumerate(played)]
    return RolloutTree.from_paths(task, prompt, [turns for turns, _ in played], ends)


class _Loop:
    """What the rollouts of one group have in common."""

    def __init__(
        self,
        task: Task,
        sampler: Sampler,
        dialect: Dialect,
        toolbox: Toolbox,
        params: SamplingParams,
        limits: Limits,
        prompt_ids: tuple[int, ...],
        run: tuple[str | int, ...],
    ) -> None:
        self.task, self.sampler, self.dialect, self.toolbox = task, sampler, dialect, toolbox
        self.params, self.limits, self.prompt_ids, self.run = params, limits, prompt_ids, run
        self.context_length = limits.context(sampler.context_length)

    async def play(self, sample: int) -> tuple[list[Turn], StopReason]:
        """One rollout: its turns after the prompt, and why it ended."""
        return await play_within(self.limits.seconds, self.task, partial(self._play, sample))

    async def _play(self, sample: int, turns: list[Turn], session: Session) -> StopReason:
        context = list(self.prompt_ids)
        for index in range(self.limits.max_turns):
            turn, reason, goes_on = await self._sample_turn(context, sample, index)
            turns.append(turn)
            context += turn.token_ids
            if reason is FinishReason.CONTEXT:
                return StopReason.CONTEXT
            if not goes_on:
                return StopReason.MAX_TOKENS if reason is FinishReason.LENGTH else StopReason.ANSWERED
            if index + 1 == self.limits.max_turns:
                return StopReason.MAX_TURNS
            observation = await self._observe(turn, session)
            if len(context) + len(observation.token_ids) >= self.context_length:
                # The results are kept for people to read; the model never saw them, so no tokens are.
                turns.append(replace(observation, token_ids=(), error=ErrorKind.TRUNCATED))
                return StopReason.CONTEXT
            turns.append(observation)
            context += observation.token_ids
        raise AssertionError("the last turn returns")

    async def _sample_turn(
        self, context: Sequence[int], sample: int, index: int
    ) -> tuple[Turn, FinishReason, bool]:
        """The turn, why it ended, and whether it wants to be answered."""
        start = time.perf_counter()
        room = self.context_length - len(context)
        params = SamplingParams(
            max_tokens=min(self.limits.max_turn_tokens, room),
            temperature=self.params.temperature,
            top_p=self.params.top_p,
            top_k=self.params.top_k,
            stop_token_ids=self.dialect.stop_token_ids,
            stop=self.dialect.stop_strings,
            seed=seed_for(*self.run, self.task.id, sample, index),
        )
        drawn = await self.sampler.generate(context, params)
        parsed = self.dialect.parse(drawn.token_ids)
        reason = drawn.finish_reason
        cut = reason is not FinishReason.STOP
        if reason is FinishReason.LENGTH and room < self.limits.max_turn_tokens:
            reason = FinishReason.CONTEXT
        # A turn that was cut has not come to its answer.
        instead = {"answer": None, "error": ErrorKind.TRUNCATED} if cut else {}
        turn = parsed.as_turn(
            drawn.token_ids,
            sampled=True,
            logprobs=drawn.logprobs,
            seconds=time.perf_counter() - start,
            **instead,
        )
        return turn, reason, bool(parsed.calls) or parsed.error is ErrorKind.MALFORMED_CALL

    async def _observe(self, turn: Turn, session: Session) -> Turn:
        start = time.perf_counter()
        # A turn that ended at a stop string has no end token yet.
        closed = bool(turn.token_ids) and turn.token_ids[-1] in self.dialect.stop_token_ids
        results = await self.toolbox.run_all(turn.calls, session)
        token_ids = tuple(self.dialect.render_observation(results, closed))
        return Turn(
            role="tool",
            token_ids=token_ids,
            text=self.dialect.parse(token_ids).text,
            results=tuple(results),
            seconds=time.perf_counter() - start,
        )
