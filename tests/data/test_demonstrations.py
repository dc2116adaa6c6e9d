from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolwise.core import ToolwiseError
from toolwise.data import Demonstration, read_demonstrations, write_demonstrations

USER = {"role": "user", "content": "Where?"}
CALL = {"type": "function", "function": {"name": "search", "arguments": {"query": "x"}}}
ASKS = {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [CALL]}
TOLD = {"role": "tool", "name": "search", "content": "There."}
SAYS = {"role": "assistant", "content": "There."}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_round_trip(tmp_path, suffix):
    some = [
        Demonstration("1", (USER, ASKS, TOLD, SAYS), ("search",)),
        Demonstration("2", (USER, SAYS), ({"name": "f", "parameters": {"default": None}},)),
    ]
    path = tmp_path / f"demonstrations{suffix}"
    write_demonstrations(path, some)
    assert read_demonstrations(path) == some


def test_nested_parquet(tmp_path):
    path = tmp_path / "demonstrations.parquet"
    records = [{"id": "1", "messages": [USER, ASKS, TOLD, SAYS], "tools": ["search"]}]
    pq.write_table(pa.Table.from_pylist(records), path)
    assert read_demonstrations(path) == [Demonstration("1", (USER, ASKS, TOLD, SAYS), ("search",))]


def test_keys_without_a_value_are_fine():
    said = {**SAYS, "refusal": None, "annotations": []}
    record = {"id": "1", "messages": [USER, said]}
    assert Demonstration.from_record(record).messages == (USER, said)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"id": "1"}, "'messages' is missing"),
        ({"messages": [USER, SAYS]}, "'id' is missing"),
        ({"id": "1", "messages": "hello"}, "'messages' is a string"),
        ({"id": "1", "messages": []}, "'messages' is empty"),
        ({"id": "1", "messages": [USER]}, "no assistant message"),
        ({"id": "1", "messages": [SAYS, USER]}, "begins with the role assistant"),
        ({"id": "1", "messages": [USER, TOLD, SAYS]}, "messages[1]' is a tool result without a call"),
        ({"id": "1", "messages": [USER, {"role": "assistant", "content": ""}]}, "messages[1]' is an empty"),
        ({"id": "1", "messages": [USER, {"role": "bot", "content": "x"}]}, "messages[1].role"),
        ({"id": "1", "messages": [USER, {**SAYS, "reasoning_content": 3}]}, "reasoning_content"),
        ({"id": "1", "messages": [USER, {**SAYS, "thinking": "hm"}]}, "messages[1].thinking' is not known"),
        ({"id": "1", "messages": [USER, {**SAYS, "tool_calls": 3}]}, "messages[1].tool_calls' is not a list"),
        ({"id": "1", "messages": [USER, {**SAYS, "tool_calls": [3]}]}, "tool_calls[0]' has no name"),
        (
            {"id": "1", "messages": [USER, {**SAYS, "tool_calls": [{"name": "f", "arguments": "{"}]}]},
            "arguments that are not JSON",
        ),
        (
            {"id": "1", "messages": [USER, {**SAYS, "tool_calls": [{"name": "f", "arguments": []}]}]},
            "arguments that are not an object",
        ),
        ({"id": "1", "messages": [USER, SAYS], "tools": 3}, "'tools'"),
        ({"id": "1", "messages": [USER, SAYS], "answer": "x"}, "'answer' is not known"),
        ([], "must be an object"),
    ],
)
def test_broken_rows_are_named(tmp_path, record, problem):
    path = tmp_path / "demonstrations.jsonl"
    path.write_text(json.dumps({"id": "0", "messages": [USER, SAYS]}) + "\n" + json.dumps(record) + "\n")
    with pytest.raises(ToolwiseError) as caught:
        read_demonstrations(path)
    assert "row 2:" in str(caught.value)
    assert problem in str(caught.value)
