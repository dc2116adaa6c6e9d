"""The clock of a rollout, which stands still while an engine is down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

rollout_deadline: ContextVar[asyncio.Timeout | None] = ContextVar("rollout_deadline", default=None)
"""The time limit of the rollout that is being played."""


@contextmanager
def clock_stopped() -> Iterator[None]:
    """What happens in this block is not counted as the rollout's time: an outage cuts no rollout short."""
    deadline = rollout_deadline.get()
    when = None if deadline is None else deadline.when()
    if deadline is None or when is None:
        yield
        return
    loop = asyncio.get_running_loop()
    begun = loop.time()
    deadline.reschedule(None)
    try:
        yield
    finally:
        if not deadline.expired():
            deadline.reschedule(when + loop.time() - begun)
