"""A conversation in which the user speaks more than once, and the tools on offer may change meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolwise.core import Message, Task, ToolCall, Turn
from toolwise.rollout.collect import Player
from toolwise.rollout.exchange import exchange
from toolwise.sampling import ContextLengthError, SamplingParams

RunCalls = Callable[[Sequence[ToolCall]], Awaitable[list[str] | None]]
"""Runs the calls of one step and gives the text of each result; None: they can be run no more."""


@dataclass(frozen=True, slots=True)
class UserTurn:
    """What the user says, once.

    Attributes:
        messages: OpenAI-style, at least one.
        tools: Names or JSON-schema specs of what may be called from here on.
    """

    messages: tuple[Message, ...]
    tools: tuple[str | Mapping[str, Any], ...]


async def converse(
    task: Task,
    user_turns: Sequence[UserTurn],
    *,
    player: Player,
    run_calls: RunCalls,
    most_steps: int,
    run: Sequence[str | int],
    params: SamplingParams | None = None,
) -> list[list[Turn]]:
    """Play a conversation once: after each user turn the model calls tools until a step has no readable call.

    Each step is a rollout of its own whose prompt is the conversation so far, rendered anew as chat servers
    do it (a template may leave earlier thoughts out). So this measures a model; it does not train one.

    Args:
        task: Names the conversation; seeds derive from its id.
        user_turns: What the user says, in order.
        player: Plays one assistant turn at a time; its limit ``max_turns`` must be 1.
        run_calls: Runs the calls of a step.
        most_steps: A user turn may have so many steps with calls; with one more the conversation ends.
        run: Keys that name this visit of the task.
        params: Sampling parameters instead of the player's.

    Returns:
        For each user turn the assistant's steps; fewer user turns than there are if it ended early. The one
        with a step too many is the last of them; one in which the conversation outgrew the context, or
        `run_calls` gave up, is not among them.

    Raises:
        ContextLengthError: The first user turn alone is too long.
        ToolwiseError: The model cannot be asked.
    """
    messages: list[Message] = []
    played: list[list[Turn]] = []
    for number, user in enumerate(user_turns):
        messages += user.messages
        steps: list[Turn] = []
        played.append(steps)
        while True:
            prompt = replace(task, prompt=tuple(messages), tools=user.tools)
            keys = (*run, number, len(steps))
            try:
                tree = await player.play(prompt, run=keys, samples=1, params=params)
            except ContextLengthError:
                if len(messages) == len(user_turns[0].messages):
                    raise
                return played[:-1]
            turn = tree.rollouts()[0].turns[-1]
            steps.append(turn)
            if not turn.calls or any(call.error for call in turn.calls):
                messages.append({"role": "assistant", "content": turn.answer or turn.said})
                break
            results = await run_calls(turn.calls)
            if results is None:
                return played[:-1]
            if len(steps) > most_steps:
                return played
            said, *answers = exchange(turn.calls, results, turn.words, len(messages))
            thought = {"reasoning_content": turn.thought} if turn.thought else {}
            messages += [said | thought, *answers]
    return played
