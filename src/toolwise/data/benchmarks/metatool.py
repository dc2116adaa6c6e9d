"""MetaTool (Huang et al. 2023): whether a tool is needed, and which."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from toolwise.core import Task, ToolwiseError
from toolwise.core.records import Row
from toolwise.data.benchmarks.files import field_of, find_file, json_rows
from toolwise.data.reading import read_all

_SUBTASKS = {
    "similar": "Task2-Subtask1.json",
    "scenario": "Task2-Subtask2.json",
    "reliability": "Task2-Subtask3.json",
    "multi-tool": "Task2-Subtask4.json",
}
_LISTED = re.compile(r"^\d+\. tool name: (.+?), tool description:", re.MULTILINE)
_LABELS = {"positive": True, "negative": False}


def read_metatool_awareness(folder: str | Path) -> list[Task]:
    """Task 1: is a tool needed? ``answer`` is ``yes`` or ``no``.

    Raises:
        ToolwiseError: ``Task1.json`` is missing or cannot be used.
    """
    path = find_file(Path(folder), "Task1.json")
    return read_all(path, json_rows(path), _awareness)


def read_metatool_selection(folder: str | Path) -> list[Task]:
    """Task 2: which of the listed tools? ``answer`` is the list of the right ones, empty where none is.

    ``info`` holds ``category`` (``similar``, ``scenario``, ``reliability``, ``multi-tool``) and
    ``candidates``, the names in the list. In ``reliability`` the tool that would fit is not in the list.

    Raises:
        ToolwiseError: No ``Task2-Subtask….json`` is there, or one cannot be used.
    """
    place = Path(folder)
    find_file(place, *_SUBTASKS.values())
    return [
        task
        for category, name in _SUBTASKS.items()
        if (place / name).is_file()
        for task in read_all(place / name, json_rows(place / name), partial(_selection, category=category))
    ]


def _awareness(row: Row) -> Task:
    label = field_of(row.record, "label")
    if label not in _LABELS:
        raise ToolwiseError(f"field 'label' is {label!r}", mend=f"known are {list(_LABELS)}")
    needed = _LABELS[label]
    return Task(
        f"awareness-{row.number}",
        ({"role": "user", "content": field_of(row.record, "thought_prompt").strip()},),
        answer="yes" if needed else "no",
        info={"category": label, "needs_tool": needed},
    )


def _selection(row: Row, category: str) -> Task:
    record: Mapping[str, Any] = row.record
    prompt = field_of(record, "action_prompt").strip()
    candidates = _LISTED.findall(prompt)
    if not candidates:
        raise ToolwiseError("field 'action_prompt' lists no tools", mend="is it a file of this benchmark?")
    tools = field_of(record, "tool", (str, list))
    right = [] if category == "reliability" else [tools] if isinstance(tools, str) else tools
    return Task(
        f"{category}-{row.number}",
        ({"role": "user", "content": prompt},),
        answer=right,
        info={"category": category, "candidates": list(dict.fromkeys([*candidates, *right]))},
    )
