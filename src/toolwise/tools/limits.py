"""Run a function of unknown manners under a time limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class TimeLimitError(Exception):
    """The time limit passed; not to be confused with a TimeoutError that the tool itself raised.

    Args:
        limit: Seconds.
    """

    def __init__(self, limit: float) -> None:
        super().__init__(limit)
        self.limit = limit


class ToolExitError(Exception):
    """A tool tried to end the program (``sys.exit``); it ends its own call only."""


async def await_within(work: Coroutine[Any, Any, Any], limit: float) -> Any:
    """Await `work` for at most `limit` seconds, then cancel it.

    A coroutine that swallows its cancellation is left behind, so it cannot hold the rollout. One that blocks
    the event loop (``time.sleep`` in an ``async def``) cannot be stopped by anybody: make it a plain ``def``.

    Raises:
        TimeLimitError: The limit passed.
        ToolExitError: The coroutine raised SystemExit, or cancelled itself.
        Exception: Whatever the coroutine raised.
    """
    task = asyncio.ensure_future(_contained(work))
    try:
        done, _ = await asyncio.wait({task}, timeout=limit)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise TimeLimitError(limit)
    if task.cancelled():
        raise ToolExitError("the tool cancelled itself")
    return task.result()


async def thread_within(function: Callable[[], Any], limit: float) -> Any:
    """Run a blocking function in a thread of its own and wait for at most `limit` seconds.

    A thread cannot be killed: after the limit it is left alone and its result is ignored. It is a daemon, so
    it never blocks the end of the program.

    Raises:
        TimeLimitError: The limit passed.
        ToolExitError: The function raised SystemExit or the like.
        Exception: Whatever the function raised.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if outcome.done():
            return
        if error is None:
            outcome.set_result(result)
        else:
            outcome.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as raised:
            # asyncio futures refuse StopIteration, and so would lose the outcome.
            error = raised if not isinstance(raised, StopIteration) else RuntimeError("StopIteration")
        except BaseException as raised:
            error = ToolExitError(f"the tool raised {type(raised).__name__}")
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            return  # The loop closed while the tool was still running: nobody waits for it any more.

    threading.Thread(target=work, name="toolwise-tool", daemon=True).start()
    await asyncio.wait({outcome}, timeout=limit)
    if not outcome.done():
        outcome.cancel()
        raise TimeLimitError(limit)
    return outcome.result()


async def _contained(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await work
    except SystemExit as error:
        raise ToolExitError("the tool raised SystemExit") from error


def _abandon(task: asyncio.Future[Any]) -> None:
    task.add_done_callback(lambda ended: None if ended.cancelled() else ended.exception())
    task.cancel()
