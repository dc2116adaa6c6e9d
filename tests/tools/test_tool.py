from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from typing import Literal

import pytest
from pydantic import BaseModel

from toolwise.core import ErrorKind, Task, ToolCall, ToolwiseError
from toolwise.tools import Session, Tool, Toolbox, ToolError, tool


class Place(BaseModel):
    title: str


def find(
    place: Place, kind: Literal["a", "b"] = "a", *, tags: list[str] | None = None, session: object = None
) -> str:
    """Find a place,
    wherever it is.

    Args:
        place: Where: the place
            to find.
        kind (str): Which kind.

    Returns:
        Something.
    """
    return f"{place} {kind} {tags}"


def fails() -> str:
    """Fail."""
    raise KeyError("no such key")


def explains() -> str:
    """Fail politely."""
    raise ToolError("the shop is closed")


def exits() -> str:
    """Try to end the program."""
    sys.exit(3)


async def exits_async() -> str:
    """Try to end the program."""
    sys.exit(3)


async def stubborn() -> str:
    """Swallow the first cancellation."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(30)
    await asyncio.sleep(30)
    return "awake"


async def sleeps() -> str:
    """Sleep."""
    await asyncio.sleep(30)
    return "awake"


async def cancels_itself() -> str:
    """Raise a cancellation of its own."""
    raise asyncio.CancelledError


def own_timeout() -> str:
    """Raise a TimeoutError of its own."""
    raise TimeoutError("the server did not answer")


def huge() -> str:
    """Give 10 MB."""
    return "head" + "x" * 10_000_000 + "tail"


def unreadable() -> str:
    """Raise an error without words."""

    class Odd(Exception):
        def __str__(self):
            raise ValueError

    raise Odd


def session_for(*names, info=None):
    return Session(Task("t", ({"role": "user", "content": "?"},), tools=names, info=info or {}))


async def run(function, arguments=None, **options):
    made = Tool.from_function(function, name="it", **options)
    return await Toolbox([made]).run(ToolCall("it", arguments or {}), session_for("it"))


def test_schema_from_hints_and_docstring():
    parameters = Tool.from_function(find).parameters
    assert parameters == {
        "type": "object",
        "properties": {
            "place": {"$ref": "#/$defs/Place", "description": "Where: the place to find."},
            "kind": {"type": "string", "enum": ["a", "b"], "default": "a", "description": "Which kind."},
            "tags": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        },
        "required": ["place"],
        "additionalProperties": False,
        "$defs": {
            "Place": {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
        },
    }
    assert Tool.from_function(find).description == "Find a place, wherever it is."


def test_decorator_with_and_without_options():
    assert tool(fails).name == "fails"
    made = tool(name="closed", time_limit=2)(explains)
    assert (made.name, made.time_limit) == ("closed", 2)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda: 1, "no description"),
        (lambda x: x, "no description"),
    ],
)
def test_functions_without_words_are_refused(function, problem):
    with pytest.raises(ToolwiseError, match=problem):
        Tool.from_function(function, name="it")


def test_functions_without_types_are_refused():
    with pytest.raises(ToolwiseError, match="'x' has no type hint"):
        Tool.from_function(lambda x: x, name="it", description="It.")
    with pytest.raises(ToolwiseError, match="'all' cannot be given by name"):
        Tool.from_function(lambda *all: all, name="it", description="It.")

    def typed(x: threading.Lock) -> str:
        """It."""
        return str(x)

    with pytest.raises(ToolwiseError, match=r"'x'.*has no JSON schema"):
        Tool.from_function(typed)


@pytest.mark.parametrize(
    "options", [{"name": ""}, {"name": "two words"}, {"time_limit": 0}, {"max_result_chars": 5}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(ToolwiseError):
        Tool.from_function(fails, **options)


def test_async_functions_cannot_be_inline():
    with pytest.raises(ToolwiseError, match="cannot be inline"):
        Tool.from_function(sleeps, inline=True)


@pytest.mark.parametrize(
    ("function", "kind", "text"),
    [
        (fails, ErrorKind.TOOL_FAILURE, "Error: KeyError: 'no such key'"),
        (explains, ErrorKind.TOOL_FAILURE, "Error: the shop is closed"),
        (exits, ErrorKind.TOOL_FAILURE, "Error: ToolExitError: the tool raised SystemExit"),
        (exits_async, ErrorKind.TOOL_FAILURE, "Error: ToolExitError: the tool raised SystemExit"),
        (cancels_itself, ErrorKind.TOOL_FAILURE, "Error: ToolExitError: the tool cancelled itself"),
        (own_timeout, ErrorKind.TOOL_FAILURE, "Error: TimeoutError: the server did not answer"),
        (unreadable, ErrorKind.TOOL_FAILURE, "Error: Odd: (its message cannot be read: ValueError)"),
    ],
)
async def test_failures_are_typed_results(function, kind, text):
    result = await run(function)
    assert (result.error, result.content, result.name) == (kind, text, "it")


@pytest.mark.parametrize("function", [sleeps, stubborn, lambda: time.sleep(1.5)])
async def test_hanging_tools_are_stopped(function):
    start = time.perf_counter()
    result = await run(function, description="Hang.", time_limit=0.05)
    assert result.error is ErrorKind.TIMEOUT
    assert "0.05 s" in result.content
    assert 0.05 <= result.seconds <= time.perf_counter() - start < 1.4


async def test_a_late_result_is_ignored():
    ended = threading.Event()

    def late():
        time.sleep(0.1)
        ended.set()

    assert (await run(late, description="Late.", time_limit=0.02)).error is ErrorKind.TIMEOUT
    assert await asyncio.to_thread(ended.wait, 2)
    await asyncio.sleep(0.01)


def test_a_hanging_thread_outlives_the_loop_without_noise(capfd):
    ended = threading.Event()

    def late():
        ended.wait(2)

    assert asyncio.run(run(late, description="Late.", time_limit=0.02)).error is ErrorKind.TIMEOUT
    (thread,) = [
        thread for thread in threading.enumerate() if thread.name == "toolwise-tool" and thread.is_alive()
    ][-1:]
    assert thread.daemon
    ended.set()
    thread.join(2)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("function", [sleeps, lambda: time.sleep(0.5)])
async def test_cancellation_gets_out(function):
    task = asyncio.create_task(run(function, description="Hang."))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_long_results_are_cut_in_the_middle():
    result = await run(huge)
    assert result.error is None
    assert len(result.content) <= 4000
    assert len(result.content) > 3950
    head, note, tail = result.content.split("\n")
    assert head.startswith("head")
    assert tail.endswith("tail")
    assert note == f"[… {10_000_008 - len(head) - len(tail)} characters left out …]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as is", "as is"),
        (None, ""),
        ({"a": [1, "é"]}, '{"a": [1, "é"]}'),
        (2.5, "2.5"),
        ({1}, "{1}"),
        ("half \ud800 a character", "half ? a character"),
    ],
)
async def test_results_become_text(value, text):
    assert (await run(lambda: value, description="Give.")).content == text


async def test_async_results_and_errors():
    async def asynchronous(x: int) -> int:
        """Double."""
        if x > 5:
            raise ValueError("too much")
        return 2 * x

    assert (await run(asynchronous, {"x": 2})).content == "4"
    assert (await run(asynchronous, {"x": 6})).error is ErrorKind.TOOL_FAILURE


async def test_objects_and_builtins_are_functions_too():
    class Doubler:
        async def __call__(self, x: int) -> int:
            return 2 * x

    schema = {"type": "object"}
    assert (await run(Doubler(), {"x": 2}, description="D.", parameters=schema)).content == "4"
    assert (await run(max, description="M.", parameters=schema)).error is ErrorKind.TOOL_FAILURE


async def test_arguments_may_have_any_name():
    def odd(self: str, call: str) -> str:
        """Odd names."""
        return self + call

    assert (await run(odd, {"self": "a", "call": "b"})).content == "ab"
