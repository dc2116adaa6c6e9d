"""How long a call of the Python sandbox takes, and how many are answered in a second.

Run: python -m benchmarks.sandbox [--engine bubblewrap|wasi]
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time

from benchmarks.report import table
from toolwise.core import Task
from toolwise.tools import Session, python_tool
from toolwise.tools.sandbox import SandboxLimits, choose_engine

CODES = {
    "1 + 1": "1 + 1",
    "numpy": "import numpy\nnumpy.arange(5).sum()",
    "scipy.optimize": "import scipy.optimize\nscipy.optimize.brentq(lambda x: x * x - 2, 0, 2)",
    "sympy": "import sympy\nx = sympy.Symbol('x')\nsympy.integrate(x * sympy.sin(x), x)",
}
COST = "\nimport time\nprint(time.process_time())"


def main() -> None:
    """Measure one engine."""
    import asyncio

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="auto", choices=["auto", "bubblewrap", "wasi"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args()
    engine = choose_engine(options.engine, SandboxLimits(60))
    rows = []
    for name, code in CODES.items():
        seconds, cpu = [], []
        for _ in range(options.repeats):
            start = time.perf_counter()
            outcome = engine.run(code + COST, threading.Event())
            seconds.append(time.perf_counter() - start)
            cpu.append(float(outcome.text.split()[-1]))
        rows.append(
            (name, {"median s": statistics.median(seconds), "least s": min(seconds), "CPU s": min(cpu)})
        )
    table(f"one call, {engine.name}", ["median s", "least s", "CPU s"], rows)

    async def many() -> None:
        tool = python_tool(engine)
        session = Session(Task("t", ({"role": "user", "content": "?"},), tools=("python",)))
        await asyncio.gather(*(tool.call(session, code="1 + 1") for _ in range(options.calls)))

    start = time.perf_counter()
    asyncio.run(many())
    rate = options.calls / (time.perf_counter() - start)
    table(f"{options.calls} calls at once, {engine.name}", ["calls/s"], [("1 + 1", {"calls/s": rate})])


if __name__ == "__main__":
    main()
