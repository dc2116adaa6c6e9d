"""Playing BFCL's items with several user turns, by the rules of its own program."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from toolwise.core import Task, ToolCall
from toolwise.evaluation.benchmarks.bfcl_backend import BackendProcess
from toolwise.evaluation.benchmarks.output import Output
from toolwise.rollout import Player, UserTurn, converse
from toolwise.sampling import ContextLengthError, SamplingParams


async def play_bfcl(
    task: Task, player: Player, *, run: Sequence[str | int], params: SamplingParams | None = None
) -> Output:
    """Play one item: the model calls the item's tools, which are run, until it says something else.

    As in BFCL's program (its handlers of models that call functions by the protocol), a step whose calls
    cannot be read ends the user turn, functions that come later are announced by its sentence, and a user
    turn with more than its limit of steps ends the item, as does one that outgrows the context.

    Args:
        task: Of a category with several turns, as the reader of BFCL makes it.
        player: Its limit ``max_turns`` must be 1.
        run: Keys that name this visit of the task.
        params: Sampling parameters instead of the player's.

    Returns:
        `Output.turns`, for `check_turns`.

    Raises:
        ToolwiseError: The package bfcl-eval is missing, or the model cannot be asked.
    """
    with closing(BackendProcess(task)) as backend:
        # What is offered from here on comes from the package: it is there, or the line above has refused.
        prompts = importlib.import_module("bfcl_eval.constants.default_prompts")

        async def run_calls(calls: Sequence[ToolCall]) -> list[str] | None:
            wanted = [(call.name, (), call.arguments) for call in calls]
            return await asyncio.to_thread(backend.run, wanted)

        try:
            played = await converse(
                task,
                user_turns(task, prompts.DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC),
                player=player,
                run_calls=run_calls,
                most_steps=prompts.MAXIMUM_STEP_LIMIT,
                run=run,
                params=params,
            )
        except ContextLengthError:
            played = []
    turns = [
        tuple(Output(step.answer or step.said, step.calls or None) for step in steps) for steps in played
    ]
    return Output(turns=tuple(turns), tool_calls=sum(len(step.calls) for steps in played for step in steps))


def user_turns(task: Task, announcement: str) -> list[UserTurn]:
    """What the user of an item says, turn by turn, and what may be called from then on.

    Args:
        task: See `play_bfcl`.
        announcement: Said in a turn that only adds functions.
    """
    tools: list[Any] = list(task.tools)
    found = []
    for number, said in enumerate(task.info["turns"]):
        added = task.info["added_tools"].get(str(number), [])
        tools = [*tools, *added]
        messages = said or [{"role": "user", "content": announcement}]
        found.append(UserTurn(tuple(messages), tuple(tools)))
    return found
