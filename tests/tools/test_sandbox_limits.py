"""What hostile code uses up: processes, time, memory, output. All of it ends, and nothing is left behind."""

from __future__ import annotations

import pytest
from sandboxes import MEMORY, attack, refused

from toolwise.core import ErrorKind
from toolwise.tools.sandbox.engine import MAX_OUTPUT_BYTES

pytestmark = pytest.mark.usefixtures("no_process_left")


# -- Processes and threads


@pytest.mark.parametrize(
    "source",
    [
        "import os\nwhile True:\n    os.fork()",
        "import os\nos.forkpty()",
        "import os\nos.posix_spawn('/python/bin/python3', ['python3'], {})",
        "import subprocess\nsubprocess.Popen(['/python/bin/python3', '-c', 'while True: pass'])",
        "import subprocess\nsubprocess.run('sleep 1000 &', shell=True, check=True)",
        "import multiprocessing\nmultiprocessing.get_context('spawn').Process(target=print).start()",
        "import threading\nthreading.Thread(target=print, daemon=True).start()",
        "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor(2).submit(print)",
    ],
)
def test_no_process_and_no_thread_can_be_started(engine, source):
    refused(
        attack(engine, source),
        "PermissionError", "can't start new thread", "AttributeError", "OSError", "ModuleNotFoundError",
        "ImportError", "BlockingIOError", "FileNotFoundError",
    )  # fmt: skip


def test_another_program_keeps_the_limits(bubblewrap):
    """Code may become another program: there is none but the interpreter, and it is as confined."""
    outcome = attack(
        bubblewrap,
        """
        import os
        child = "import os, resource as r; print(os.getuid(), r.getrlimit(r.RLIMIT_AS)[1]); os.fork()"
        os.execv("/python/bin/python3", ["/python/bin/python3", "-S", "-c", child])
        """,
    )
    assert f"1 {MEMORY}\n" in outcome.text
    assert "PermissionError" in outcome.text
    for program in ("/bin/sh", "/usr/bin/env", "/sbin/init"):
        refused(attack(bubblewrap, f"import os\nos.execv({program!r}, ['x'])"), "FileNotFoundError")


# -- Time


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass",
        "import time\ntime.sleep(1000)",
        "10 ** 10 ** 10",
        "print('begun')\nimport os\nos.close(1)\nos.close(2)\nwhile True: pass",
    ],
)
def test_endless_code_is_stopped(hurried, source):
    assert attack(hurried, source).error is ErrorKind.TIMEOUT


def test_signals_that_are_ignored_do_not_help(hurried):
    source = """
    import signal
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        pass
    """
    assert attack(hurried, source).error is not None


# -- Memory


@pytest.mark.parametrize(
    "source",
    [
        "kept = []\nwhile True:\n    kept.append(bytearray(1 << 20))",
        "kept = 'x' * (3 << 30)",
        "import numpy\nnumpy.ones((1 << 14, 1 << 14)).sum()",
        "import mmap\nkept = mmap.mmap(-1, 3 << 30)",
        "kept = [0]\nwhile True:\n    kept = [*kept, *kept]",
    ],
)
def test_memory_is_limited(engine, source):
    outcome = attack(engine, source)
    assert outcome.error is ErrorKind.TOOL_FAILURE
    assert any(
        word in outcome.text + outcome.problem
        for word in (
            "MemoryError",
            "OverflowError",
            "ValueError",
            "OSError",
            "ModuleNotFoundError",
            "crashed",
        )
    )


def test_memory_that_no_limit_of_a_process_counts(bubblewrap):
    """System V segments outlive what is mapped; files in memory belong to no folder."""
    refused(attack(bubblewrap, "import os\nos.memfd_create('x')"), "OSError", "PermissionError")
    shared = "from multiprocessing.shared_memory import SharedMemory\nSharedMemory('x', True, 9)"
    refused(attack(bubblewrap, shared), "FileNotFoundError", "OSError", "PermissionError")
    source = "import ctypes\nctypes.CDLL(None).shmget(0, 1 << 20, 0o1600)"
    assert attack(bubblewrap, source).text == "-1\n"


def test_crashes_are_results(bubblewrap):
    for source in (
        "import ctypes\nctypes.string_at(0)",
        "import os\nos.abort()",
        "import os\nos.kill(os.getpid(), 11)",
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(x):\n    return sorted([x], key=f)\nf(1)",
    ):
        outcome = attack(bubblewrap, source)
        assert outcome.error is ErrorKind.TOOL_FAILURE
        assert outcome.problem.startswith("the code crashed (SIG"), source


def test_deep_recursion(engine):
    refused(attack(engine, "def f(n):\n    return f(n + 1)\nf(0)"), "RecursionError")
    nested = attack(engine, "eval('(' * 100_000 + ')' * 100_000)")
    assert nested.error is ErrorKind.TOOL_FAILURE


def test_endless_recursion(hurried):
    endless = attack(
        hurried, "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(n):\n    return f(n + 1)\nf(0)"
    )
    assert endless.error is not None


# -- Output


@pytest.mark.parametrize(
    "source",
    [
        "for _ in range(1024):\n    print('x' * (1 << 20))",
        "while True:\n    print('x' * 99)",
        "print('x' * (100 << 20))",
        "import os\nwhile True:\n    os.write(2, b'x' * 65536)",
    ],
)
def test_floods_are_stopped(hurried, source):
    outcome = attack(hurried, source)
    # A slow guest may reach the end of its time first.
    if hurried.name == "bubblewrap" or outcome.error is not ErrorKind.TIMEOUT:
        assert outcome.error is ErrorKind.TOOL_FAILURE
        assert outcome.problem == "the code printed more than 1 MiB and was stopped"
    assert len(outcome.text) <= 2 * MAX_OUTPUT_BYTES


def test_binary_output(engine):
    text = attack(engine, "import sys\nsys.stdout.buffer.write(bytes(range(256)))\nprint('\\udcff')").text
    assert text.encode()
    assert "\ufffd" in text


def test_streams_that_are_closed(engine):
    assert attack(engine, "import os\nprint('a')\nos.close(1)").text == "a\n"
    assert attack(engine, "import sys\nprint('a')\nsys.stdout.close()\nsys.stderr.close()").text.startswith(
        "a\n"
    )
    outcome = attack(engine, "import sys\nsys.stdout = None\nsys.stderr = None\n1 / 0")
    refused(outcome, "ZeroDivisionError")
