"""Calls of the sandbox that end before they are done, or are many: nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from sandboxes import MEMORY, sandbox_processes

from toolwise.core import ErrorKind, Task
from toolwise.tools import Session, python_tool

pytestmark = pytest.mark.usefixtures("no_process_left")


def session():
    return Session(Task("t", ({"role": "user", "content": "?"},), tools=("python",)))


@pytest.mark.parametrize("seconds", [0, 0.05, 1])
async def test_cancelled_calls_leave_nothing(engine, seconds):
    """At any moment: queued, starting, running."""
    before = sandbox_processes()
    tool = python_tool(engine)
    calls = [asyncio.ensure_future(tool.call(session(), code="while True: pass")) for _ in range(8)]
    await asyncio.sleep(seconds)
    for one in calls:
        one.cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in ended)
    wait_until(lambda: set(sandbox_processes()) <= set(before))


async def test_hundreds_of_calls_in_flight(engine):
    tool = python_tool(engine)
    codes = [
        ["print({0})", "1 / 0  # {0}", "import os; os._exit(0)  # {0}"][i % 3].format(i) for i in range(300)
    ]
    before = len(os.listdir("/proc/self/fd"))
    results = await asyncio.gather(*(tool.call(session(), code=code) for code in codes))
    for i, result in enumerate(results):
        expected = [str(i), "division by zero", "The code printed nothing."][i % 3]
        assert result.content.endswith(expected)
        assert result.error is (ErrorKind.TOOL_FAILURE if i % 3 == 1 else None)
    assert len(os.listdir("/proc/self/fd")) <= before + 4  # what the event loop itself keeps


def test_the_death_of_the_host_ends_its_calls(bubblewrap):
    memory = MEMORY + 2048
    program = textwrap.dedent(
        f"""
        import threading
        from toolwise.tools.sandbox import SandboxLimits, choose_engine
        engine = choose_engine("bubblewrap", SandboxLimits(600, {memory}))
        engine.run("import time; time.sleep(2000)", threading.Event())
        """
    )
    with subprocess.Popen([sys.executable, "-c", program]) as host:
        try:
            # bubblewrap, the sandbox's first process, and the code.
            wait_until(lambda: len(sandbox_processes(memory)) >= 3)
        finally:
            host.send_signal(signal.SIGKILL)
    wait_until(lambda: sandbox_processes(memory) == [])


def wait_until(condition):
    """Not a time that is measured: only the end of waiting for something that never comes."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to pass")
