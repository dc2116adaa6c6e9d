"""The time limit of one rollout, which both agent loops keep in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from toolwise.core import ErrorKind, StopReason, Task, Turn
from toolwise.tools import Session


async def play_within(
    seconds: float, task: Task, play: Callable[[list[Turn], Session], Awaitable[StopReason]]
) -> tuple[list[Turn], StopReason]:
    """Play one rollout in a session of its own, which is closed however it ends.

    Args:
        seconds: Wall-clock time of the rollout, > 0.
        task: The problem.
        play: Appends the turns after the prompt to the list, and says why the rollout ended.

    Returns:
        The turns, and why it ended; of one that was cut in time those turns that were finished, or an empty
        one.
    """
    turns: list[Turn] = []
    session = Session(task)
    try:
        async with asyncio.timeout(seconds) as deadline:
            return turns, await play(turns, session)
    except TimeoutError:
        if not deadline.expired():
            raise  # The model's own: a server that does not answer is not a slow rollout.
        nothing = Turn("assistant", (), sampled=True, error=ErrorKind.TRUNCATED)
        return turns or [nothing], StopReason.DEADLINE
    finally:
        await session.close()
