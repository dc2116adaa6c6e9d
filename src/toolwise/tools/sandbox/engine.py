"""What every isolation engine promises."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from toolwise.core import ErrorKind

MAX_OUTPUT_BYTES = 1 << 20
"""Code that prints more than this is stopped; a model reads far less."""
SCRATCH_BYTES = 64 << 20
"""Size of the scratch folder, and of its largest file."""
PACKAGES = ("numpy", "scipy", "sympy", "mpmath")
"""What the code can import beside the standard library."""
EXCEPTION_STATUS = 1
"""Exit status of code that an exception ended; its traceback stands at the end of the output."""


@dataclass(frozen=True)
class SandboxLimits:
    """What one call may use.

    Attributes:
        seconds: CPU time, ≥ 1: what code takes of it hardly depends on what else the machine does.
        memory_bytes: Address space of the process (bubblewrap) or memory of the guest (wasi).
    """

    seconds: int = 10
    memory_bytes: int = 1 << 30

    @property
    def wall_seconds(self) -> int:
        """Code that sleeps, or shares its core with much else, is stopped at this much of the wall clock."""
        return 4 * self.seconds


@dataclass(frozen=True)
class Outcome:
    """What came of one call.

    Attributes:
        text: What the code printed (both streams), with the value of a last expression or a traceback.
        error: None if the code ran to its end.
        problem: What went wrong, in words for the model; empty if nothing did.
    """

    text: str
    error: ErrorKind | None = None
    problem: str = ""


class Engine(Protocol):
    """One way to run code apart from everything else. Safe to use from several threads.

    Attributes:
        name: As in the configuration.
    """

    name: str

    def run(self, source: str, cancel: threading.Event) -> Outcome:
        """Run code; gives back control only when nothing of it is left running.

        Args:
            source: Python code; nothing of an earlier call is visible to it.
            cancel: When set, the code is stopped soon, and the outcome is of no use.
        """
        ...


def decode(output: bytes) -> str:
    """Text of what was printed; bytes that are no UTF-8 become U+FFFD."""
    return output.decode("utf-8", "replace")


def timed_out(text: str, limits: SandboxLimits) -> Outcome:
    """The outcome of code that took too long."""
    return Outcome(text, ErrorKind.TIMEOUT, f"the code took longer than {limits.seconds} s and was stopped")


def flooded(text: str) -> Outcome:
    """The outcome of code that printed too much."""
    problem = f"the code printed more than {MAX_OUTPUT_BYTES >> 20} MiB and was stopped"
    return Outcome(text, ErrorKind.TOOL_FAILURE, problem)


def ended(text: str, status: int) -> Outcome:
    """The outcome of code that ended by itself with an exit status ≥ 0."""
    if status == 0:
        return Outcome(text)
    if status == EXCEPTION_STATUS:
        return Outcome(text, ErrorKind.TOOL_FAILURE, "the code failed")
    return Outcome(text, ErrorKind.TOOL_FAILURE, f"the code ended with exit status {status}")
