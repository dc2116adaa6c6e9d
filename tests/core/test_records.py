"""Rows of a file that JSON takes and nobody should."""

from __future__ import annotations

import pytest

from toolwise.core.records import read_rows


@pytest.mark.parametrize(
    "line, problem",
    [
        (b'{"id": "a", "prompt": "one", "prompt": "two"}', "key 'prompt' stands twice"),
        (b'{"id": "a", "info": {"x": 1, "y": 2, "x": 3}}', "key 'x' stands twice"),
        (rb'{"id": "a", "prompt": "\ud800"}', "half a character"),
        (rb'{"id": "a", "info": {"\udfff": 1}}', "half a character"),
    ],
)
def test_it_is_named(tmp_path, line, problem):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": "first"}\n' + line + b"\n")
    first, second = read_rows(path)
    assert first.record == {"id": "first"}
    assert second.record is None
    assert second.number == 2
    assert problem in second.problem
    assert "→" in second.problem


def test_whole_pairs_of_surrogates_are_one_character(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(rb'{"id": "\ud83d\ude00"}')
    assert [row.record for row in read_rows(path)] == [{"id": "\U0001f600"}]
