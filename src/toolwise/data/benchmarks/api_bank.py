"""API-Bank (Li et al. 2023): its own test files, and the form in which ToolRL evaluates on it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from toolwise.core import Task, ToolwiseError
from toolwise.core.records import Row
from toolwise.data.benchmarks.files import field_of, find_file, json_rows
from toolwise.data.reading import read_all

_FILES = {1: "level-1-api.json", 2: "level-2-api.json", 3: "level-3-batch-inf.json"}


def read_api_bank(folder: str | Path) -> list[Task]:
    """Requests to write, from API-Bank's ``test-data``; ``answer`` is the expected request as text.

    ``info`` holds ``category`` (``level-1`` …).

    Args:
        folder: Holds ``level-1-api.json``, ``level-2-api.json`` and ``level-3-batch-inf.json``, or a folder
            ``test-data`` with them. Levels that are missing are left out.

    Raises:
        ToolwiseError: No level is there, or a file cannot be used.
    """
    place = _within(Path(folder), "test-data")
    find_file(place, *_FILES.values())
    return [
        task
        for level, name in _FILES.items()
        if (place / name).is_file()
        for task in read_all(place / name, json_rows(place / name), partial(_task, level=level))
    ]


def read_api_bank_toolrl(folder: str | Path) -> list[Task]:
    """The items of ToolRL's evaluation on API-Bank; ``answer`` is the one expected call.

    ``info`` holds ``category`` (``level-1`` …). The tools stand in the text of the system message.

    Args:
        folder: Holds ``level-N-api_processed.json``, or a folder ``toolrl_processed`` with them.

    Raises:
        ToolwiseError: As in `read_api_bank`.
    """
    place = _within(Path(folder), "toolrl_processed")
    names = {level: f"level-{level}-api_processed.json" for level in (1, 2, 3)}
    find_file(place, *names.values())
    return [
        task
        for level, name in names.items()
        if (place / name).is_file()
        for task in read_all(place / name, json_rows(place / name), partial(_toolrl, level=level))
    ]


def _within(folder: Path, inner: str) -> Path:
    return folder / inner if (folder / inner).is_dir() else folder


def _task(row: Row, level: int) -> Task:
    record = row.record
    answer = field_of(record, "expected_output" if level < 3 else "output")
    prompt = (
        {"role": "system", "content": field_of(record, "instruction").strip()},
        {"role": "user", "content": field_of(record, "input").strip()},
    )
    return Task(f"level-{level}-{row.number}", prompt, answer=answer, info={"category": f"level-{level}"})


def _toolrl(row: Row, level: int) -> Task:
    record = row.record
    answer: Any = field_of(record, "answer", (list, dict))
    if isinstance(answer, list):
        if len(answer) != 1:
            raise ToolwiseError(
                f"field 'answer' has {len(answer)} calls", mend="the protocol has one an item"
            )
        answer = answer[0]
    call = {"name": field_of(answer, "name"), "parameters": field_of(answer, "parameters", dict)}
    prompt = (
        {"role": "system", "content": field_of(record, "system")},
        {"role": "user", "content": field_of(record, "user")},
    )
    return Task(f"level-{level}-{row.number}", prompt, answer=call, info={"category": f"level-{level}"})
