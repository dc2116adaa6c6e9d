"""Tools of MCP servers: every test talks to a real server in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from toolwise.core import ErrorKind, Task, ToolCall, ToolwiseError
from toolwise.tools import MCPConfig, Session, ToolConfig, build_toolbox, mcp_connection

SERVER = Path(__file__).parent / "mcp_example.py"
COMMAND = (sys.executable, str(SERVER))
BROKEN = "the licence of this server has run out"
NAMES = ("math.add", "note", "refuse", "picture", "flood", "wait", "freeze", "process", "variable", "header")


def config(**fields) -> MCPConfig:
    # Wide limits: a machine under load may take long to start a server.
    return MCPConfig(**({"command": COMMAND, "start_limit": 300, "time_limit": 120} | fields))


def session_for(toolbox):
    return Session(Task("t", ({"role": "user", "content": "?"},), tools=toolbox.names))


async def call(toolbox, session, name, /, **arguments):
    return await toolbox.run(ToolCall(name, arguments), session)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


async def gone(pid: int) -> bool:
    """Whether the process ends; a killed one may take a moment."""
    for _ in range(600):
        if not lives(pid):
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.fixture
def all_closed():
    """What the test opens is closed when it ends."""
    before = set(mcp_connection._links)
    yield
    assert mcp_connection._links <= before


@pytest.fixture(scope="module")
def shared():
    """One server for the tests that leave nothing behind in it."""
    toolbox = build_toolbox([config(session="shared")])
    yield toolbox
    toolbox.close()


@pytest.fixture(scope="module")
def apart():
    """Tools with a server for each rollout, which gets one variable of the environment."""
    os.environ |= {"TOOLWISE_TEST_TOKEN": "secret", "TOOLWISE_TEST_OTHER": "also secret"}
    made = config(environment=["TOOLWISE_TEST_TOKEN"])
    assert "secret" not in made.model_dump_json()
    yield build_toolbox([made])
    del os.environ["TOOLWISE_TEST_TOKEN"], os.environ["TOOLWISE_TEST_OTHER"]


def test_tools_are_found_before_the_run(shared):
    assert shared.names == tuple(name.replace(".", "_") for name in NAMES)
    tool = shared["math_add"]
    assert (tool.origin, tool.description) == ("math.add", "Add two numbers.")
    assert tool.parameters["required"] == ["a", "b"]
    assert shared["note"].origin == ""
    # A task may use the server's name for it; the model is shown the one that it can write.
    (spec,) = shared.specs(["math.add"])
    assert spec["function"]["name"] == "math_add"


@pytest.mark.parametrize(
    ("name", "arguments", "content", "error"),
    [
        ("math_add", {"a": 1, "b": 2}, '{\n  "total": 3\n}', None),
        (
            "math_add",
            {"a": "1", "b": 2},
            "Error: argument 'a': '1' is not of type 'integer'",
            ErrorKind.BAD_ARGUMENTS,
        ),
        (
            "refuse",
            {"why": "closed on Mondays"},
            "Error: Error executing tool refuse: closed on Mondays",
            ErrorKind.TOOL_FAILURE,
        ),
        ("picture", {}, "a dot\n[image/png, 5 bytes]", None),
    ],
)
async def test_results_become_text(shared, name, arguments, content, error):
    result = await call(shared, session_for(shared), name, **arguments)
    assert (result.content, result.error, result.name) == (content, error, name)


async def test_long_results_are_cut(shared):
    result = await call(shared, session_for(shared), "flood", count=300_000)
    assert result.error is None
    assert 3900 < len(result.content) <= 4000


async def test_a_call_that_takes_too_long_is_stopped_and_the_server_remembers(all_closed):
    toolbox = build_toolbox([config(time_limit=5, tools=["wait", "note", "process"])])
    session = session_for(toolbox)
    try:
        assert (await call(toolbox, session, "note", text="a", session="!")).content == "a!"
        result = await call(toolbox, session, "wait", seconds=600)
        assert (result.error, result.content) == (
            ErrorKind.TIMEOUT,
            "Error: wait took longer than 5 s and was stopped.",
        )
        assert (await call(toolbox, session, "note", text="b")).content == "a! b"
        with pytest.raises(ToolwiseError, match=r"cannot be copied for a branch.*\n→ set 'session: shared'"):
            session.fork()
    finally:
        await session.close()


async def test_each_rollout_has_a_server_of_its_own_which_ends_with_it(apart, all_closed):
    toolbox, first, second = apart, session_for(apart), session_for(apart)
    calls = [ToolCall("process"), ToolCall("process")]
    both, other = await asyncio.gather(
        toolbox.run_all(calls, first), call(toolbox, second, "note", text="mine")
    )
    assert both[0].content == both[1].content
    assert other.content == "mine"
    assert (await call(toolbox, first, "note", text="yours")).content == "yours"
    pid = int(both[0].content)
    assert lives(pid)
    await first.close()
    await second.close()
    assert not lives(pid)


async def test_a_killed_server_is_a_typed_failure_and_comes_back(apart, all_closed):
    toolbox, session = apart, session_for(apart)
    pid = int((await call(toolbox, session, "process")).content)
    flying = asyncio.create_task(call(toolbox, session, "wait", seconds=600))
    await asyncio.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    result = await flying
    assert result.error is ErrorKind.TOOL_FAILURE
    assert "Connection closed" in result.content
    result = await call(toolbox, session, "note", text="again")
    assert result.error is None
    assert result.content == "(The server was started anew and remembers no earlier calls.)\nagain"
    await session.close()


async def test_a_hanging_server_is_ended_by_force(monkeypatch, all_closed):
    monkeypatch.setattr(mcp_connection, "CHECK_LIMIT", 0.5)
    toolbox = build_toolbox([config(session="shared", tools=["process", "freeze"], time_limit=5)])
    session = session_for(toolbox)
    pid = int((await call(toolbox, session, "process")).content)
    assert (await call(toolbox, session, "freeze")).error is ErrorKind.TIMEOUT
    other = int((await call(toolbox, session, "process")).content)
    assert other != pid
    assert await gone(pid)
    toolbox.close()
    toolbox.close()
    assert await gone(other)


SCRIPT = """
import asyncio, os, signal, sys
from toolwise.core import Task, ToolCall
from toolwise.tools import MCPConfig, Session, build_toolbox

async def run():
    session = Session(Task("t", ({"role": "user", "content": "?"},), tools=toolbox.names))
    try:
        result = await toolbox.run(ToolCall("process"), session)
        print(result.content, flush=True)
        if how == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        if how == "error":
            raise SystemExit("something else went wrong")
        await asyncio.sleep(600 if how == "interrupt" else 0)
    finally:
        if how != "forgotten":
            await session.close()

how = sys.argv[1]
shared = "shared" if how == "forgotten" else "rollout"
toolbox = build_toolbox([MCPConfig(command=sys.argv[2:], session=shared, tools=["process"])])
asyncio.run(run())
"""


@pytest.mark.parametrize("how", ["interrupt", "error", "forgotten"])
async def test_no_server_is_left_behind(how):
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", SCRIPT, how, *COMMAND], capture_output=True, text=True
    )
    pid = int(done.stdout)
    assert await gone(pid)
    assert ("KeyboardInterrupt" in done.stderr) == (how == "interrupt")
    assert done.returncode == {"interrupt": -signal.SIGINT, "error": 1, "forgotten": 0}[how]


async def test_only_the_named_variables_are_passed_on(apart, all_closed):
    session = session_for(apart)
    assert (await call(apart, session, "variable", name="TOOLWISE_TEST_TOKEN")).content == "secret"
    assert (await call(apart, session, "variable", name="TOOLWISE_TEST_OTHER")).content == "(not set)"
    await session.close()
    with pytest.raises(ToolwiseError, match="not set: TOOLWISE_TEST_ABSENT"):
        build_toolbox([config(environment=["TOOLWISE_TEST_ABSENT"])])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"command": [sys.executable, "-c", f"raise SystemExit('{BROKEN}')"]}, BROKEN),
        ({"command": ["toolwise-no-such-program"]}, "No such file"),
        ({"command": None, "url": "http://127.0.0.1:9/mcp"}, "cannot be reached"),
        ({"command": [sys.executable, "-c", "import time; time.sleep(600)"], "start_limit": 1}, "within 1 s"),
        ({"tools": ["math.add", "fly"]}, r"no tool 'fly'\n→ its tools are: math.add, note"),
    ],
)
def test_servers_that_are_of_no_use_are_refused_before_the_run(fields, problem, all_closed):
    with pytest.raises(ToolwiseError, match=problem):
        build_toolbox([config(**fields)])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "either 'command' or 'url'"),
        ({"command": ["x"], "url": "http://x"}, "either 'command' or 'url'"),
        ({"command": "python server.py"}, "command"),
        ({"command": []}, "command"),
        ({"command": ["x"], "headers": {"Authorization": "TOKEN"}}, "are for a 'url'"),
        ({"url": "http://x", "environment": ["TOKEN"]}, "'environment' is for a server that is started"),
        ({"url": "http://x", "headers": {"Authorization": "Bearer abc"}}, "headers"),
        ({"url": "http://me:secret@x"}, "does not belong into the address"),
        ({"url": "file:///etc/passwd"}, "http://HOST"),
        ({"command": ["x"], "environment": ["A=b"]}, "environment"),
        ({"command": ["x"], "tools": []}, "tools"),
        ({"command": ["x"], "prefix": "a b"}, "prefix"),
        ({"command": ["x"], "session": "forever"}, "session"),
        ({"command": ["x"], "time_limit": 0}, "time_limit"),
    ],
)
def test_bad_configurations_are_refused(fields, problem):
    with pytest.raises(ValidationError, match=problem):
        TypeAdapter(ToolConfig).validate_python({"type": "mcp"} | fields)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class HTTPServer:
    """The example server on a port, as a process."""

    def __init__(self, port: int) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.mark.parametrize("session_kind", ["rollout", "shared"])
async def test_servers_over_http(session_kind, monkeypatch, all_closed):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TOOLWISE_TEST_TOKEN", "Bearer abc")
    port = free_port()
    server = HTTPServer(port)
    try:
        made = config(
            command=None,
            url=f"http://127.0.0.1:{port}/mcp",
            headers={"Authorization": "TOOLWISE_TEST_TOKEN"},
            session=session_kind,
            prefix="far_",
        )
        assert "abc" not in made.model_dump_json()
        toolbox = build_toolbox([made])
        assert toolbox.names[0] == "far_math_add"
        session = session_for(toolbox)
        assert (await call(toolbox, session, "far_header", name="authorization")).content == "Bearer abc"
        assert (await call(toolbox, session, "far_math_add", a=1, b=2)).content == '{\n  "total": 3\n}'
        assert (
            await call(toolbox, session, "far_refuse", why="no")
        ).content == "Error: Error executing tool refuse: no"
        assert (await call(toolbox, session, "far_note", text="a")).content == "a"
        flying = asyncio.create_task(call(toolbox, session, "far_wait", seconds=600))
        await asyncio.sleep(0.3)
        server.kill()
        assert (await flying).error is ErrorKind.TOOL_FAILURE
        assert (await call(toolbox, session, "far_note", text="b")).error is ErrorKind.TOOL_FAILURE
        server = await asyncio.to_thread(HTTPServer, port)
        result = await call(toolbox, session, "far_note", text="c")
        assert result.error is None
        assert result.content.endswith("c")
        await session.close()
        toolbox.close()
    finally:
        server.kill()
