"""Preferences: both public layouts, exact round trips, and what cannot be a pair."""

from __future__ import annotations

import pytest

from toolwise.core import ToolwiseError
from toolwise.data import (
    Demonstration,
    Preference,
    read_demonstrations,
    read_preferences,
    write_demonstrations,
    write_preferences,
)

USER = {"role": "user", "content": "Which?"}


def said(text):
    return {"role": "assistant", "content": text}


def test_texts_become_messages():
    found = Preference.from_record({"id": 1, "prompt": "Which?", "chosen": "this", "rejected": "that"})
    assert found == Preference("1", (USER,), (said("this"),), (said("that"),))


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_round_trip(tmp_path, suffix):
    call = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": "1+1"}}}
    tools = (
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "calculator", "content": "2"},
        said("2"),
    )
    rows = [
        Preference("a", (USER,), (said("this"),), (said("that"),)),
        Preference("b", (USER,), tools, (said("3"),), ("calculator",)),
    ]
    write_preferences(tmp_path / f"p{suffix}", rows)
    assert read_preferences(tmp_path / f"p{suffix}") == rows


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"id": "a", "prompt": "?", "chosen": "x"}, "'rejected' is missing"),
        ({"id": "a", "prompt": "?", "chosen": "x", "rejected": "x"}, "are equal"),
        ({"id": "a", "prompt": "?", "chosen": "x", "rejected": ""}, "with 'rejected'"),
        (
            {"id": "a", "prompt": "?", "chosen": [USER], "rejected": "x"},
            "neither the assistant's nor a tool's",
        ),
        ({"id": "a", "prompt": [USER, said("h")], "chosen": "x", "rejected": "y"}, "ends with a message"),
        ({"id": "a", "prompt": "?", "chosen": "x", "rejected": "y", "score": 1}, "'score' is not known"),
        ({"prompt": "?", "chosen": "x", "rejected": "y"}, "id"),
    ],
)
def test_what_is_no_pair_is_named(record, problem):
    with pytest.raises(ToolwiseError, match=problem):
        Preference.from_record(record)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_parts_of_demonstrations_survive(tmp_path, suffix):
    rows = [
        Demonstration("a", (USER, said("x"))),
        Demonstration("b", (USER, said("y")), part="rationale"),
    ]
    write_demonstrations(tmp_path / f"d{suffix}", rows)
    assert read_demonstrations(tmp_path / f"d{suffix}") == rows
