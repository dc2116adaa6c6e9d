from __future__ import annotations

import asyncio
import threading

import pytest
from pydantic import TypeAdapter, ValidationError

from toolwise.core import ErrorKind, Task, ToolCall, ToolwiseError
from toolwise.tools import Session, Tool, Toolbox, ToolConfig, build_toolbox, calculator, tool

COUNTED = "toolwise_test_counted"


@tool
def add(a: int, b: int, session: Session) -> str:
    """Add, and remember how often."""
    state = session.state_of("add")
    state.setdefault("seen", []).append([a, b])
    return f"{a + b} ({len(state['seen'])})"


@tool
async def wait(name: str, session: Session) -> str:
    """Wait for the other call of the turn."""
    events = session.state_of("wait").setdefault("events", {"x": asyncio.Event(), "y": asyncio.Event()})
    events[name].set()
    await events["y" if name == "x" else "x"].wait()
    return name


def session_for(*tools, **fields):
    return Session(Task("t", ({"role": "user", "content": "?"},), tools=tools, **fields))


@pytest.fixture
def toolbox():
    return Toolbox([add, wait, calculator()])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"a": 1}, "Error: arguments: 'b' is a required property"),
        ({"a": "1", "b": 2}, "Error: argument 'a': '1' is not of type 'integer'"),
        ({"a": 1, "b": 2, "c": 3}, "('c' was unexpected)"),
        ({"a": 1, "b": 2, "session": 3}, "('session' was unexpected)"),
        ({"a": "x" * 10_000_000, "b": 1}, "Error: argument 'a'"),
    ],
)
async def test_bad_arguments_name_the_field(toolbox, arguments, text):
    result = await toolbox.run(ToolCall("add", arguments), session_for("add"))
    assert result.error is ErrorKind.BAD_ARGUMENTS
    assert text in result.content
    assert len(result.content) < 400


async def test_nested_fields_are_named():
    def deep(place: dict[str, list[int]]) -> str:
        """Take much."""
        return str(place)

    toolbox = Toolbox([Tool.from_function(deep)])
    result = await toolbox.run(ToolCall("deep", {"place": {"x": [1, "2"]}}), session_for("deep"))
    assert "argument 'place.x.1'" in result.content
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    result = await toolbox.run(ToolCall("deep", {"place": {"x": nested}}), session_for("deep"))
    assert result.error is ErrorKind.BAD_ARGUMENTS


async def test_malformed_calls_and_unknown_tools(toolbox):
    session = session_for("add", "calculator")
    broken = ToolCall("add", {}, ErrorKind.MALFORMED_CALL, "it has no name")
    result = await toolbox.run(broken, session)
    assert (result.error, result.content) == (
        ErrorKind.MALFORMED_CALL,
        "Error: the call cannot be read: it has no name",
    )
    result = await toolbox.run(ToolCall("fly", {}), session)
    assert result.error is ErrorKind.UNKNOWN_TOOL
    assert result.content == "Error: there is no tool 'fly'. Known tools: add, calculator."


async def test_only_the_tools_of_the_task_can_be_called(toolbox):
    call = ToolCall("calculator", {"expression": "1+1"})
    assert (await toolbox.run(call, session_for("add"))).error is ErrorKind.UNKNOWN_TOOL
    assert (await toolbox.run(call, session_for())).content.endswith("Known tools: none.")
    assert (await toolbox.run(call, session_for("calculator"))).content == "2"
    assert (await toolbox.run(call, session_for({"name": "calculator", "parameters": {}}))).content == "2"


async def test_calls_of_one_turn_run_at_once_in_order(toolbox):
    session = session_for("wait", "add")
    calls = [ToolCall("wait", {"name": "y"}), ToolCall("fly"), ToolCall("wait", {"name": "x"})]
    results = await asyncio.wait_for(toolbox.run_all(calls, session), 2)
    assert [(result.content[:1], result.error) for result in results] == [
        ("y", None),
        ("E", ErrorKind.UNKNOWN_TOOL),
        ("x", None),
    ]
    assert await toolbox.run_all([], session) == []


async def test_inline_calls_never_yield_to_the_loop(toolbox):
    session = session_for("calculator")
    ran = []
    asyncio.get_running_loop().call_soon(ran.append, "other work")
    calls = [ToolCall("calculator", {"expression": f"{n} * 2"}) for n in range(5)]
    results = await toolbox.run_all(calls, session)
    assert [result.content for result in results] == ["0", "2", "4", "6", "8"]
    assert ran == []
    assert threading.active_count() >= 1


async def test_sessions_fork_deeply(toolbox):
    session = session_for("add")
    await toolbox.run(ToolCall("add", {"a": 1, "b": 2}), session)
    branch = session.fork()
    assert (await toolbox.run(ToolCall("add", {"a": 3, "b": 4}), branch)).content == "7 (2)"
    assert (await toolbox.run(ToolCall("add", {"a": 5, "b": 6}), session)).content == "11 (2)"
    assert session.state["add"]["seen"] == [[1, 2], [5, 6]]
    assert branch.task is session.task
    await session.close()
    await session.close()
    assert session.state == {}
    assert branch.state["add"]["seen"] == [[1, 2], [3, 4]]
    branch.state_of("lock")["lock"] = threading.Lock()
    with pytest.raises(ToolwiseError, match="'lock' cannot be copied"):
        branch.fork()


def test_specs(toolbox):
    given = {"name": "lookup", "parameters": {"type": "object"}}
    specs = toolbox.specs(["calculator", given, {"type": "function", "function": given}])
    assert [spec["function"]["name"] for spec in specs] == ["calculator", "lookup", "lookup"]
    assert all(set(spec) == {"type", "function"} for spec in specs)
    with pytest.raises(
        ToolwiseError, match=r"no tool 'fly'\n→ the tools of this run are: add, wait, calculator"
    ):
        toolbox.specs(["fly"])
    with pytest.raises(ToolwiseError, match="has no name"):
        toolbox.specs([{"description": "x"}])
    with pytest.raises(ToolwiseError, match="task 'q7': there is no tool 'fly'"):
        toolbox.check([Task("q7", ({"role": "user", "content": "?"},), tools=("fly",))])


def test_bad_toolboxes_are_refused():
    with pytest.raises(ToolwiseError, match="two tools are called 'add'"):
        Toolbox([add, add])
    with pytest.raises(ToolwiseError, match="not a JSON schema"):
        Toolbox([Tool("x", "X.", {"type": "obj"}, print)])


async def test_schemas_are_never_fetched():
    remote = Tool("x", "X.", {"$ref": "http://127.0.0.1:9/schema.json"}, lambda: "ran")
    result = await Toolbox([remote]).run(ToolCall("x"), session_for("x"))
    assert result.error is ErrorKind.TOOL_FAILURE
    assert "schema" in result.content


def test_configuration(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"id": 1, "title": "A", "text": "a cat"}\n')
    configs = TypeAdapter(list[ToolConfig]).validate_python(
        [
            {"type": "calculator"},
            {"type": "ask_user"},
            {"type": "search", "corpus": str(corpus), "top_k": 1},
            {"type": "function", "target": "textwrap:dedent"},
        ][:3]
    )
    assert build_toolbox(configs).names == ("calculator", "ask_user", "search")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"type": "abacus"}, "type"),
        ({"type": "calculator", "digits": 3}, "digits"),
        ({"type": "dense_search", "corpus": "x"}, "encoder"),
        ({"type": "http_search", "url": "file:///etc/passwd"}, "url"),
        ({"type": "http_search", "url": "http://"}, "url"),
        ({"type": "search", "corpus": "x", "top_k": 0}, "top_k"),
        ({"type": "function", "target": "no colon"}, "target"),
    ],
)
def test_bad_configurations_name_the_field(config, field):
    with pytest.raises(ValidationError, match=field):
        TypeAdapter(ToolConfig).validate_python(config)


def test_own_functions(tmp_path, monkeypatch):
    (tmp_path / f"{COUNTED}.py").write_text(
        "from toolwise.tools import tool\n"
        "def plain(x: int) -> str:\n    'Double.'\n    return str(2 * x)\n"
        "made = tool(name='made')(plain)\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    build = TypeAdapter(ToolConfig).validate_python

    def toolbox(*names):
        return build_toolbox([build({"type": "function", "target": f"{COUNTED}:{name}"}) for name in names])

    assert toolbox("plain", "made").names == ("plain", "made")
    with pytest.raises(ToolwiseError, match="is a int"):
        toolbox("number")
    for target in (f"{COUNTED}:missing", "toolwise_no_such_module:f"):
        with pytest.raises(ValidationError, match="cannot be imported"):
            build({"type": "function", "target": target})
