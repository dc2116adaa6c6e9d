"""Records of different keys, to both formats and back."""

from __future__ import annotations

import pytest

from toolwise.core.records import read_rows
from toolwise.data.writing import write_records

ROWS = [
    {"id": "a", "answer": "one"},
    {"id": "b", "prompt": [{"role": "user", "content": "?"}], "info": {"level": 1}},
    {"id": "c", "answer": ["two", 2]},
]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_no_key_of_a_later_row_is_lost(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    write_records(path, ROWS)
    found = [row.record for row in read_rows(path)]
    assert [{key: value for key, value in row.items() if value is not None} for row in found] == ROWS


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_no_rows_are_an_empty_file(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    write_records(path, [])
    assert list(read_rows(path)) == []
