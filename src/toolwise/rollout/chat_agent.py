"""The agent loop of a model behind an endpoint: the same tasks, tools and limits, without tokens."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from toolwise.core import (
    ErrorKind,
    Message,
    RolloutEnd,
    RolloutTree,
    StopReason,
    Task,
    ToolCall,
    ToolResult,
    Turn,
    seed_for,
)
from toolwise.dialects.call_json import as_call, malformed, read_object
from toolwise.rollout.agent import Limits
from toolwise.rollout.deadline import play_within
from toolwise.rollout.exchange import exchange
from toolwise.sampling import ChatModel, ChatParams, ChatReply, ContextLengthError
from toolwise.tools import Session, Toolbox

_THINK, _THINK_END = "<think>", "</think>"
_CUT = ("length", "content_filter")
"""Finish reasons of a turn that did not come to its end."""


async def chat_roll_out(
    task: Task,
    *,
    model: ChatModel,
    toolbox: Toolbox,
    params: ChatParams,
    limits: Limits,
    samples: int = 1,
    run: Sequence[str | int] = (0,),
    slots: AbstractAsyncContextManager[Any] | None = None,
) -> RolloutTree:
    """Try a task several times at once with a model that calls tools by the chat protocol itself.

    Turns have no token ids; what the model wrote is their ``text``, with its thought and calls written out as
    the Hermes dialect does. Stop reasons and typed errors are those of `roll_out`: a turn that the server
    cut is ``truncated``, a call whose arguments are no JSON object is ``malformed_call``.

    Args:
        task: The problem.
        model: Answers conversations.
        toolbox: The tools there are.
        params: How replies are written; its ``max_tokens``, ``seed`` and ``tools`` are set turn by turn.
        limits: When to cut.
        samples: Size of the group, ≥ 1.
        run: Keys that name this visit of the task (run seed, step …); seeds derive from them.
        slots: Held by each rollout while it is played, such as a semaphore; its time limit begins then.

    Raises:
        ContextLengthError: The prompt is too long for the endpoint.
        ToolwiseError: The endpoint cannot be asked, or the task names an unknown tool.
    """
    specs = toolbox.specs(task.tools)
    prompt = Turn("prompt", (), text=_prompt_text(task.prompt, specs))
    loop = _ChatLoop(task, model, toolbox, replace(params, tools=tuple(specs)), limits, tuple(run))
    gate = slots if slots is not None else nullcontext()

    async def play(sample: int) -> tuple[list[Turn], StopReason]:
        async with gate:
            return await loop.play(sample)

    played = await asyncio.gather(*(play(sample) for sample in range(samples)))
    ends = [RolloutEnd(0, sample, task.id, stop) for sample, (_, stop) in enumerate(played)]
    return RolloutTree.from_paths(task, prompt, [turns for turns, _ in played], ends)


class _ChatLoop:
    """What the rollouts of one group have in common."""

    def __init__(
        self,
        task: Task,
        model: ChatModel,
        toolbox: Toolbox,
        params: ChatParams,
        limits: Limits,
        run: tuple[str | int, ...],
    ) -> None:
        self.task, self.model, self.toolbox = task, model, toolbox
        self.params, self.limits, self.run = params, limits, run

    async def play(self, sample: int) -> tuple[list[Turn], StopReason]:
        """One rollout: its turns after the prompt, and why it ended."""
        return await play_within(self.limits.seconds, self.task, partial(self._play, sample))

    async def _play(self, sample: int, turns: list[Turn], session: Session) -> StopReason:
        # Earlier thoughts stay here: many servers refuse a message that holds one.
        messages: list[Message] = [
            {key: value for key, value in message.items() if key != "reasoning_content"}
            for message in self.task.prompt
        ]
        for index in range(self.limits.max_turns):
            try:
                turn, reply = await self._next_turn(messages, sample, index)
            except ContextLengthError as error:
                if not turns:
                    raise ContextLengthError(
                        error.problem, where=f"task '{self.task.id}', {error.where}", mend=error.mend
                    ) from error
                # The results are kept for people to read; the model never saw them.
                turns[-1] = replace(turns[-1], error=ErrorKind.TRUNCATED)
                return StopReason.CONTEXT
            turns.append(turn)
            if not turn.calls:
                return StopReason.MAX_TOKENS if reply.finish_reason in _CUT else StopReason.ANSWERED
            if index + 1 == self.limits.max_turns:
                return StopReason.MAX_TURNS
            start = time.perf_counter()
            results = await self.toolbox.run_all(turn.calls, session)
            seconds = time.perf_counter() - start
            turns.append(Turn("tool", (), _results_text(results), results=tuple(results), seconds=seconds))
            messages += exchange(turn.calls, [each.content for each in results], reply.content, index)
        raise AssertionError("the last turn returns")

    async def _next_turn(
        self, messages: Sequence[Message], sample: int, index: int
    ) -> tuple[Turn, ChatReply]:
        start = time.perf_counter()
        params = replace(
            self.params,
            max_tokens=self.limits.max_turn_tokens,
            seed=seed_for(*self.run, self.task.id, sample, index),
        )
        reply = await self.model.chat(messages, params)
        thought, content = _thought_and_content(reply)
        calls = tuple(_read_call(call) for call in reply.tool_calls)
        cut = reply.finish_reason in _CUT
        error = ErrorKind.MALFORMED_CALL if any(call.error for call in calls) else None
        turn = Turn(
            role="assistant",
            token_ids=(),
            text=_turn_text(thought, content, calls, reply.tool_calls),
            sampled=True,
            thought=thought,
            calls=calls,
            # A turn that was cut has not come to its answer.
            answer=None if cut or calls else content or None,
            error=ErrorKind.TRUNCATED if cut else error,
            seconds=time.perf_counter() - start,
            words=content if calls else "",
        )
        return turn, reply


def _thought_and_content(reply: ChatReply) -> tuple[str, str]:
    """The thought, also where a server leaves it in the content, and what is left."""
    thought, content = reply.reasoning_content.strip(), reply.content.strip()
    if _THINK_END in content:
        inner, _, content = content.partition(_THINK_END)
        inside = inner.strip().removeprefix(_THINK).strip()
        thought = "\n".join(part for part in (thought, inside) if part)
    elif content.startswith(_THINK):  # cut within its thought
        thought, content = content.removeprefix(_THINK).strip(), ""
    return thought, content.strip()


def _read_call(call: Mapping[str, Any]) -> ToolCall:
    function = call.get("function")
    if not isinstance(function, Mapping):
        return malformed("it has no function")
    name = function.get("name")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        text = arguments.strip() or "{}"  # some servers write nothing where there are no arguments
        try:
            arguments, end = read_object(text)
        except ValueError as error:
            return malformed(f"its arguments are not JSON: {error}", name if isinstance(name, str) else "")
        if end != len(text):
            return malformed(
                "its arguments are more than one JSON object", name if isinstance(name, str) else ""
            )
    return as_call({"name": name, "arguments": {} if arguments is None else arguments}, ("arguments",))


def _turn_text(
    thought: str, content: str, calls: Sequence[ToolCall], written: Sequence[Mapping[str, Any]]
) -> str:
    parts = [f"{_THINK}\n{thought}\n{_THINK_END}\n"] if thought else []
    parts += [content] if content else []
    for call, raw in zip(calls, written, strict=True):
        plain = raw.get("function", raw) if call.error else call.to_record()
        parts.append(f"<tool_call>\n{json.dumps(plain, ensure_ascii=False)}\n</tool_call>")
    return "\n".join(parts)


def _results_text(results: Sequence[ToolResult]) -> str:
    return "\n".join(f"<tool_response>\n{result.content}\n</tool_response>" for result in results)


def _prompt_text(messages: Sequence[Message], specs: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{message['role']}: {message.get('content') or ''}" for message in messages]
    if specs:
        names = ", ".join(str(spec["function"]["name"]) for spec in specs)
        lines.insert(0, f"tools on offer: {names}")
    return "\n\n".join(lines)
