"""An event loop of its own, in a thread, for what outlives the rollouts' loops."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""The loop of this process; a forked child has not inherited the thread, so it starts its own."""


def background_loop() -> asyncio.AbstractEventLoop:
    """The loop of the background thread, which is started at the first use.

    Each training step has an event loop of its own; a connection that lives longer than a step has to live
    elsewhere. The thread is a daemon: it never holds up the end of the program.
    """
    with _lock:
        if os.getpid() not in _loops:
            _loops.clear()
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="toolwise-connections", daemon=True).start()
            _loops[os.getpid()] = loop
        return _loops[os.getpid()]


async def in_background(work: Coroutine[Any, Any, Result]) -> Result:
    """Await something that runs on the background loop; if the waiting is cancelled, so is the work."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, background_loop()))


async def in_background_to_its_end(work: Coroutine[Any, Any, Result]) -> Result:
    """As `in_background`, but the work goes on if the waiting is cancelled: for closing things."""
    future = asyncio.run_coroutine_threadsafe(work, background_loop())
    return await asyncio.shield(asyncio.wrap_future(future))


def wait_in_background(work: Coroutine[Any, Any, Result]) -> Result:
    """Block this thread until the work has run on the background loop; Ctrl-C ends both."""
    future = asyncio.run_coroutine_threadsafe(work, background_loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
