from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolwise.core import Task, ToolwiseError
from toolwise.data import read_tasks, write_tasks

USER = {"role": "user", "content": "?"}
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
call = {"type": "function", "function": {"name": "search", "arguments": {"query": "x", "none": None}}}
messages = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content}, st.sampled_from(["system", "user"]), text
    )
    | st.just({"role": "assistant", "content": None, "tool_calls": [call]}),
    max_size=3,
).map(lambda some: (*some, USER))
schema = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "default": None}}}
tools = st.lists(st.sampled_from(["search", "calculator"]) | st.just(schema), max_size=2).map(tuple)
tasks = st.lists(
    st.builds(
        lambda prompt, tools, answer, info: Task("", prompt, tools, answer, info),
        messages,
        tools,
        text | st.lists(text, max_size=2) | values,
        st.dictionaries(text, values, max_size=3),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=tasks)
def test_round_trip(tmp_path, suffix, some):
    some = [Task(f"t{n}", task.prompt, task.tools, task.answer, task.info) for n, task in enumerate(some)]
    path = tmp_path / f"tasks{suffix}"
    write_tasks(path, some)
    assert read_tasks(path) == some
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".part"] == []


def test_plain_fields_stay_plain_in_parquet(tmp_path):
    path = tmp_path / "tasks.parquet"
    write_tasks(path, [Task("1", (USER,), ("search",), "42", {"x": 1}), Task("2", (USER,), (), None, {})])
    table = pq.read_table(path)
    assert table.column("prompt").to_pylist() == [[USER], [USER]]
    assert table.column("tools").to_pylist() == [["search"], []]
    assert table.column("answer").to_pylist() == ["42", None]
    assert table.column("info").to_pylist() == ['{"x": 1}', "{}"]
    pq.write_table(table.replace_schema_metadata(None), path)
    assert [task.info for task in read_tasks(path)] == [{"x": 1}, {}]


def test_parquet_of_other_libraries(tmp_path):
    """Nested columns, whose missing keys Parquet fills with nulls, and JSON text beside plain text."""
    path = tmp_path / "tasks.parquet"
    records = [
        {"id": 7, "prompt": [USER], "tools": ["search"], "info": {"domain": "time"}},
        {"id": 8, "prompt": [{**USER, "name": "Ada"}], "tools": None, "info": {"hops": 2}},
    ]
    pq.write_table(pa.Table.from_pylist(records), path)
    first, second = read_tasks(path)
    assert (first.id, first.prompt, first.tools, first.info) == (
        "7",
        (USER,),
        ("search",),
        {"domain": "time"},
    )
    assert (second.prompt, second.tools, second.info) == (({**USER, "name": "Ada"},), (), {"hops": 2})
    records = [
        {"id": "a", "prompt": "What is [1]?", "tools": '["search"]', "info": '{"x": null}'},
        {"id": "b", "prompt": json.dumps([USER]), "tools": "[]", "info": "{}"},
        {"id": "c", "prompt": "[sic] who?", "tools": "[]", "info": "{}"},
    ]
    pq.write_table(pa.Table.from_pylist(records), path)
    read = read_tasks(path)
    assert [task.prompt[0]["content"] for task in read] == ["What is [1]?", "?", "[sic] who?"]
    assert (read[0].tools, read[0].info) == (("search",), {"x": None})


BROKEN = [
    ("{oops", "row 2: is not JSON"),
    ('{"id": "x"}', "row 2: field 'prompt' is missing → "),
    ('{"prompt": "?"}', "row 2: field 'id' is missing"),
    ('{"id": "first", "prompt": "?"}', "row 2: field 'id' is 'first' as in row 1"),
    ('{"id": "x", "prompt": "  "}', "row 2: field 'prompt' is empty"),
    ('{"id": "x", "prompt": []}', "row 2: field 'prompt' is empty"),
    ('{"id": "x", "prompt": 3}', "row 2: field 'prompt' is int"),
    ('{"id": "x", "prompt": [{"role": "robot", "content": "?"}]}', "prompt[0].role"),
    ('{"id": "x", "prompt": [{"role": "user", "content": 3}]}', "prompt[0].content"),
    ('{"id": "x", "prompt": [3]}', "prompt[0]"),
    ('{"id": "x", "prompt": "?", "tools": "search"}', "field 'tools'"),
    ('{"id": "x", "prompt": "?", "tools": 3}', "field 'tools'"),
    ('{"id": "x", "prompt": "?", "tools": [3]}', "field 'tools'"),
    ('{"id": "x", "prompt": "?", "info": "y"}', "field 'info'"),
    ('{"id": "x", "prompt": "?", "difficulty": 3}', "field 'difficulty' is not known"),
    (
        '{"id": "x", "prompt": [{"role": "user", "content": "?", "tool_calls": [{"function": {}}]}]}',
        "has no name",
    ),
    ("[]", "row 2: a task must be an object"),
    ("null", "row 2: a task must be an object"),
    ("[" * 100_000, "row 2: is not usable JSON"),
    (b"\xff\xfe", "row 2: is not UTF-8"),
]


@pytest.mark.parametrize(("line", "problem"), BROKEN)
def test_a_broken_row_is_named(tmp_path, line, problem):
    path = tmp_path / "tasks.jsonl"
    line = line if isinstance(line, bytes) else line.encode()
    path.write_bytes(b'{"id": "first", "prompt": "?"}\n' + line + b"\n")
    with pytest.raises(ToolwiseError) as caught:
        read_tasks(path)
    assert problem in str(caught.value)
    assert str(caught.value).startswith(f"{path}: 1 of 2 rows")


def test_all_broken_rows_are_counted_and_the_first_listed(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"id": "good", "prompt": "?"}\n' + "{}\n" * 25)
    with pytest.raises(ToolwiseError) as caught:
        read_tasks(path)
    message = str(caught.value)
    assert "25 of 26 rows" in message
    assert message.count("field 'id' is missing") == 10
    assert "row 11:" in message
    assert "row 12:" not in message
    assert "… and 15 more" in message


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none.jsonl", None, "does not exist"),
        ("none.parquet", None, "does not exist"),
        ("tasks.csv", b"id,prompt", "suffix '.csv' is not known"),
        ("tasks", b"", "suffix '' is not known"),
        ("empty.jsonl", b"", "has no rows"),
        ("blank.jsonl", b"\n \n", "has no rows"),
        ("broken.parquet", b"PAR1 not really", "cannot be read as Parquet"),
    ],
)
def test_unusable_files(tmp_path, name, content, problem):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ToolwiseError) as caught:
        read_tasks(tmp_path / name)
    assert problem in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "tasks.jsonl").mkdir()
    with pytest.raises(ToolwiseError, match="is a folder"):
        read_tasks(tmp_path / "tasks.jsonl")


def test_broken_parquet_rows(tmp_path):
    path = tmp_path / "tasks.parquet"
    pq.write_table(pa.Table.from_pylist([{"id": "a", "prompt": "?"}, {"id": "a", "prompt": ""}]), path)
    with pytest.raises(ToolwiseError, match="row 2: field 'prompt' is empty"):
        read_tasks(path)
    write_tasks(path, [Task("1", (USER,), (), 3.5, {})])
    table = pq.read_table(path)
    broken = table.set_column(table.schema.get_field_index("answer"), "answer", pa.array(["{"]))
    pq.write_table(broken.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(ToolwiseError, match="row 1: field 'answer' is not JSON text"):
        read_tasks(path)


def test_windows_files_read_too(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": 1, "prompt": "?"}\r\n\r\n{"id": 2, "prompt": "!"}\r\n')
    assert [task.id for task in read_tasks(path)] == ["1", "2"]


def test_what_cannot_be_written(tmp_path):
    for value in (object(), float("nan"), "\ud800"):
        with pytest.raises(ToolwiseError, match="row 2"):
            write_tasks(tmp_path / "t.jsonl", [Task("1", (USER,)), Task("2", (USER,), answer=value)])
    with pytest.raises(ToolwiseError, match=r"\.csv"):
        write_tasks(tmp_path / "t.csv", [])
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolwiseError, match="cannot be written"):
        write_tasks(tmp_path / "file" / "t.jsonl", [Task("1", (USER,))])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
