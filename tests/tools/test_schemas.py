"""Tools from functions with richer types, from JSON schemas, and names that can be written."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import json
from typing import Annotated, Literal, Optional, Union

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict  # Python 3.11's own does not tell pydantic enough

from toolwise.core import ErrorKind, Task, ToolCall, ToolwiseError
from toolwise.tools import Session, Tool, Toolbox
from toolwise.tools.docstrings import read_docstring
from toolwise.tools.names import writable_name, writable_names


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Person(BaseModel):
    name: str
    born: datetime.date | None = None


class Row(TypedDict):
    key: str


async def run(tool, arguments):
    session = Session(Task("t", ({"role": "user", "content": "?"},), tools=(tool.name,)))
    return await Toolbox([tool]).run(ToolCall(tool.name, arguments), session)


def everything(
    colour: Colour,
    point: Point,
    person: Person,
    maybe: Optional[int] = None,  # noqa: UP045
    either: Union[int, str] = 3,  # noqa: UP007
    choice: Literal["a", 1] = "a",
    points: list[Point] = [],  # noqa: B006
    table: dict[str, list[int]] = {"a": [1]},  # noqa: B006
    pair: tuple[int, str] = (1, "b"),
    day: datetime.date = datetime.date(2024, 2, 29),
    shade: Colour = Colour.BLUE,
    small: Annotated[int, Field(ge=0, description="Not much.")] = 0,
    row: Row | None = None,
    endless: float = float("inf"),
) -> dict:
    """Say what came."""
    return {
        "colour": colour.name,
        "point": point.x + point.y,
        "person": person.born.year if person.born else person.name,
        "points": [point.x for point in points],
        "pair": pair,
        "day": day.day,
        "shade": shade is Colour.BLUE,
        "either": either,
        "row": row and row["key"],
        "maybe": maybe is not None and list(range(maybe)),
    }


def test_all_kinds_of_hints_have_a_schema():
    tool = Tool.from_function(everything)
    properties = tool.parameters["properties"]
    assert tool.parameters["required"] == ["colour", "point", "person"]
    assert tool.parameters["$defs"]["Colour"] == {"type": "string", "enum": ["red", "blue"]}
    assert tool.parameters["$defs"]["Point"]["required"] == ["x"]
    assert properties["maybe"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert properties["either"] == {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": 3}
    assert properties["choice"] == {"enum": ["a", 1], "default": "a"}
    assert properties["points"] == {"type": "array", "items": {"$ref": "#/$defs/Point"}, "default": []}
    assert properties["table"]["default"] == {"a": [1]}
    assert properties["day"] == {"type": "string", "format": "date", "default": "2024-02-29"}
    assert properties["shade"] == {"$ref": "#/$defs/Colour", "default": "blue"}
    assert properties["small"] == {"type": "integer", "minimum": 0, "description": "Not much.", "default": 0}
    assert "default" not in properties["endless"]
    assert json.loads(json.dumps(tool.spec(), allow_nan=False)) == tool.spec()


async def test_functions_get_what_their_hints_promise():
    tool = Tool.from_function(everything)
    least = {"colour": "red", "point": {"x": 3}, "person": {"name": "Ada"}}
    assert json.loads((await run(tool, least)).content) == {
        "colour": "RED",
        "point": 3,
        "person": "Ada",
        "points": [],
        "pair": [1, "b"],
        "day": 29,
        "shade": True,
        "either": 3,
        "row": None,
        "maybe": False,
    }
    more = least | {
        "person": {"name": "Ada", "born": "1815-12-10"},
        "points": [{"x": 1}, {"x": 2, "y": 5}],
        "pair": [4, "c"],
        "day": "2000-01-31",
        "shade": "red",
        "either": "text",
        "row": {"key": "k"},
        "maybe": 2.0,  # JSON schema takes it for an integer; range() does not
    }
    assert json.loads((await run(tool, more)).content) == {
        "colour": "RED",
        "point": 3,
        "person": 1815,
        "points": [1, 2],
        "pair": [4, "c"],
        "day": 31,
        "shade": False,
        "either": "text",
        "row": "k",
        "maybe": [0, 1],
    }


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"colour": "green"}, "argument 'colour': 'green' is not one of"),
        ({"point": {"x": "3"}}, "argument 'point.x'"),
        ({"small": -1}, "argument 'small': -1 is less than the minimum"),
        # The schema says "date", which is not checked there; the function would not get one.
        ({"day": "the last of May"}, "argument 'day': Input should be a valid date"),
        ({"person": {"name": "Ada", "born": "long ago"}}, "argument 'person.born'"),
    ],
)
async def test_values_that_do_not_fit_are_bad_arguments(change, text):
    arguments = {"colour": "red", "point": {"x": 3}, "person": {"name": "Ada"}} | change
    result = await run(Tool.from_function(everything), arguments)
    assert result.error is ErrorKind.BAD_ARGUMENTS
    assert text in result.content


async def test_async_functions_partials_and_objects():
    async def later(point: Point, session: Session, times: int = 2) -> Point:
        """Move."""
        assert isinstance(session, Session)
        return Point(point.x * times, point.y)

    tool = Tool.from_function(later)
    assert set(tool.parameters["properties"]) == {"point", "times"}
    assert (await run(tool, {"point": {"x": 2}})).content == '{"x": 4, "y": 0}'

    fixed = Tool.from_function(functools.partial(later, times=5), name="fixed", description="Move far.")
    assert (await run(fixed, {"point": {"x": 2}})).content == '{"x": 10, "y": 0}'

    class Mover:
        """Not this."""

        async def __call__(self, point: Point) -> int:
            """Move."""
            return point.x

    assert (await run(Tool.from_function(Mover(), name="mover"), {"point": {"x": 2}})).content == "2"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Point(1), '{"x": 1, "y": 0}'),
        (Person(name="é"), '{"name": "é", "born": null}'),
        ([Colour.RED, datetime.date(2024, 1, 2)], '["red", "2024-01-02"]'),
        ({1, 2}, "{1, 2}"),
    ],
)
async def test_rich_results_become_json(value, text):
    assert (await run(Tool.from_function(lambda: value, name="it", description="Give."), {})).content == text


def test_what_is_not_a_function_of_json_is_refused():
    def generates(x: int):
        """Yield."""
        yield x

    async def generates_later(x: int):
        """Yield."""
        yield x

    def defaulted(x: int = Field(3)) -> int:
        """Take a Field."""
        return x

    for function in (generates, generates_later):
        with pytest.raises(ToolwiseError, match=r"is a generator\n→ return the whole result"):
            Tool.from_function(function)
    with pytest.raises(ToolwiseError, match=r"pydantic Field\n→ write Annotated"):
        Tool.from_function(defaulted)


DOCSTRINGS = [
    """Find a place:
    quickly.

    Args:
        place: Where: the place
            to find.
        kind (str, optional): Which kind. Defaults to "a".
        **rest: Others.

    Returns:
        Something.
    """,
    """Find a place:
    quickly.

    Parameters
    ----------
    place : str
        Where: the place
        to find.
    kind, rest : {"a", "b"}, optional
        Which kind. Defaults to "a".

    Returns
    -------
    str
        Something.
    """,
    """Find a place:
    quickly.

    :param place: Where: the place
        to find.
    :param str kind: Which kind. Defaults to "a".
    :returns: Something.
    """,
    """Find a place:
    quickly.

    @param place: Where: the place
        to find.
    @param kind: Which kind. Defaults to "a".
    @return: Something.
    """,
]


@pytest.mark.parametrize("docstring", DOCSTRINGS, ids=["google", "numpy", "sphinx", "epydoc"])
def test_docstrings_of_all_styles(docstring):
    def function(place, kind):
        return place, kind

    function.__doc__ = docstring
    description, arguments = read_docstring(function)
    assert description == "Find a place: quickly."
    assert arguments["place"] == "Where: the place to find."
    assert arguments["kind"] == 'Which kind. Defaults to "a".'


@pytest.mark.parametrize(
    "docstring", ["", "Args:\n    broken", ":param", "Parameters\n----------", "@", "x\n\n:"]
)
def test_any_docstring_can_be_read(docstring):
    def function():
        return 1

    function.__doc__ = docstring
    description, arguments = read_docstring(function)
    assert isinstance(description, str)
    assert isinstance(arguments, dict)


SPEC = {
    "name": "geo.find place",
    "description": "Find a place.",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string"}, "max": {"type": "integer"}},
        "required": ["place"],
    },
}


def find(place: str, max: int = 3, session: Session | None = None) -> str:
    return f"{place} {max} {session.task.id}"


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        {"type": "function", "function": SPEC},
        {**{key: SPEC[key] for key in ("name", "description")}, "input_schema": SPEC["parameters"]},
        {**{key: SPEC[key] for key in ("name", "description")}, "inputSchema": SPEC["parameters"]},
    ],
)
async def test_tools_from_schemas(spec):
    tool = Tool.from_schema(spec, find, time_limit=2)
    assert (tool.name, tool.origin, tool.time_limit) == ("geo_find_place", "geo.find place", 2)
    assert tool.parameters == SPEC["parameters"]
    assert (await run(tool, {"place": "Arden"})).content == "Arden 3 t"
    assert (await run(tool, {"place": 5})).error is ErrorKind.BAD_ARGUMENTS


async def test_a_schema_may_have_arguments_that_python_cannot_name():
    parameters = {"type": "object", "properties": {"filter[a]": {}, "session": {"type": "string"}}}
    spec = {"name": "any", "description": "Take anything.", "parameters": parameters}

    def takes(session, /, **arguments):
        return [session.task.id, arguments]

    tool = Tool.from_schema(spec, takes)
    result = await run(tool, {"filter[a]": 1, "session": "mine"})
    assert result.content == '["t", {"filter[a]": 1, "session": "mine"}]'


@pytest.mark.parametrize(
    ("change", "function", "problem"),
    [
        ({"name": ""}, find, "no name"),
        ({"description": None}, find, "no description"),
        ({"name": "日本"}, find, "no letter or digit of ASCII"),
        ({"parameters": {"type": "string"}}, find, "do not describe an object"),
        ({"parameters": []}, find, "do not describe an object"),
        ({"parameters": {"type": "object", "required": 3}}, find, "not a JSON schema"),
        ({}, lambda place: place, "the schema has 'max', which the function does not take"),
        ({}, lambda place, max: place, "the function needs 'max', which the schema does not require"),
        ({}, lambda place, max=1, *, other: place, "the function needs 'other'"),
    ],
)
def test_schemas_and_functions_that_do_not_fit_are_refused(change, function, problem):
    with pytest.raises(ToolwiseError, match=problem):
        Tool.from_schema(SPEC | change, function)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("search", "search"),
        ("_search-2", "_search-2"),
        ("math.add", "math_add"),
        ("GET /pets/{id}", "GET_pets_id"),
        ("two  words\n", "two_words"),
        ("größe", "gr_e"),
        ("x" * 100, "x" * 64),
    ],
)
def test_names_that_can_be_written(name, written):
    assert writable_name(name) == written
    assert writable_name(written) == written


def test_names_that_would_be_one_are_refused():
    assert writable_names(["a.b", "c"], "p_") == {"a.b": "p_a_b", "c": "p_c"}
    with pytest.raises(ToolwiseError, match=r"there: the names 'a\.b' and 'a b' would both be written 'a_b'"):
        writable_names(["a.b", "a b"], where="there")
    with pytest.raises(ToolwiseError, match="would both be written"):
        writable_names(["x" * 64 + "1", "x" * 64 + "2"])


async def test_the_toolbox_knows_both_names():
    spec = SPEC | {"name": "math.add", "parameters": {"type": "object", "properties": {}}}
    tool = Tool.from_schema(spec, lambda: "done")
    toolbox = Toolbox([tool])
    task = Task("t", ({"role": "user", "content": "?"},), tools=("math.add",))
    toolbox.check([task])
    assert toolbox["math.add"] is toolbox["math_add"] is tool
    # The model is shown the name that it can write, and only that one is known to it …
    session = Session(task)
    assert (await toolbox.run(ToolCall("math_add"), session)).content == "done"
    result = await toolbox.run(ToolCall("math.add"), session)
    assert result.content == "Error: there is no tool 'math.add'. Known tools: math_add."
    # … unless the task itself shows it the other one.
    session = Session(Task("t", task.prompt, tools=(spec,)))
    assert toolbox.specs(session.task.tools)[0]["function"]["name"] == "math.add"
    assert (await toolbox.run_all([ToolCall("math.add")], session))[0].content == "done"
    # A name of two sources says nothing; a tool's own name goes first.
    other = dataclasses.replace(tool, name="other_add")
    with pytest.raises(ToolwiseError, match=r"no tool 'math\.add'"):
        Toolbox([tool, other])["math.add"]
    named = dataclasses.replace(tool, name="math.add", origin="")
    assert Toolbox([tool, named])["math.add"] is named
