"""python: runs code that the model wrote, apart from everything else on the machine."""

from __future__ import annotations

import asyncio
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from toolwise.core import ErrorKind
from toolwise.tools.sandbox import Engine, Outcome
from toolwise.tools.tool import MAX_RESULT_CHARS, Tool, ToolError

MAX_CODE_CHARS = 100_000
NOTHING_PRINTED = "The code printed nothing."


def python_tool(engine: Engine, max_output_chars: int = MAX_RESULT_CHARS) -> Tool:
    """The tool ``python(code)``.

    As many calls run at once as there are cores, and the others wait. A call's time runs from its own start:
    a full queue stops nobody.

    Args:
        engine: What isolates the code, with its limits.
        max_output_chars: Longer results are cut in the middle, ≥ 100.
    """
    slots = ThreadPoolExecutor(_cores(), thread_name_prefix="toolwise-python")

    async def python(code: str) -> str:
        """Run Python code and read what it prints, and the value of its last line if that is an expression.

        numpy, scipy and sympy can be imported. There is no network, and nothing is kept from call to call.

        Args:
            code: The code; every call has to import and define what it uses.
        """
        if len(code) > MAX_CODE_CHARS:
            raise ToolError(f"the code is longer than {MAX_CODE_CHARS} characters")
        outcome = await _run_in(slots, engine, code)
        if outcome.error is None:
            return outcome.text.removesuffix("\n") or NOTHING_PRINTED
        raise ToolError(_told(outcome), kind=outcome.error)

    # The engine stops a call at its limit; this one would count the time in the queue.
    return Tool.from_function(python, time_limit=math.inf, max_result_chars=max_output_chars)


async def _run_in(slots: ThreadPoolExecutor, engine: Engine, code: str) -> Outcome:
    """Run the code in a thread of `slots`; cancelled, a waiting call never starts and a running one ends."""
    cancel = threading.Event()
    running = slots.submit(engine.run, code, cancel)
    try:
        return await asyncio.wrap_future(running)
    finally:
        cancel.set()


def _told(outcome: Outcome) -> str:
    printed = outcome.text.removesuffix("\n")
    if not printed:
        return f"{outcome.problem}."
    what = ":" if outcome.error is ErrorKind.TOOL_FAILURE else "; it had printed:"
    return f"{outcome.problem}{what}\n{printed}"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
