"""Ctrl-C without a half-finished step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolwise.core import ToolwiseError


class Interrupted(ToolwiseError):  # noqa: N818 (a wish of the user, not a fault)
    """The run was stopped with Ctrl-C; what it had finished is in a checkpoint."""


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back to the end of the block; a second one goes through at once.

    Raises:
        KeyboardInterrupt: At the end, if Ctrl-C was pressed meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    pressed = False

    def note(number: int, frame: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def noted_interrupts() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C for as long as the block runs; a second one goes through at once.

    Yields:
        Whether it was pressed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = False

    def note(number: int, frame: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
