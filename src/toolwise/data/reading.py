"""Turn the rows of a file into objects, or into one error that names every row that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from toolwise.core import ToolwiseError
from toolwise.core.records import Row, refuse_rows


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


_Item = TypeVar("_Item", bound=_Identified)


def read_all(path: Path, rows: Iterable[Row], make: Callable[[Row], _Item]) -> list[_Item]:
    """Make an object of every row.

    Args:
        path: The file, for the error.
        rows: Its rows.
        make: May raise ToolwiseError for a row that cannot be used.

    Raises:
        ToolwiseError: One for all rows that cannot be used: number, field and mend of each.
    """
    items: list[_Item] = []
    problems: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    total = 0
    for row in rows:
        total += 1
        if row.problem:
            problems.append((row.number, row.problem))
            continue
        try:
            item = make(row)
            if item.id in seen:
                raise ToolwiseError(
                    f"field 'id' is {item.id!r} as in row {seen[item.id]}", mend="give every row its own id"
                )
        except ToolwiseError as error:
            problems.append((row.number, f"{error.problem} → {error.mend}" if error.mend else error.problem))
            continue
        seen[item.id] = row.number
        items.append(item)
    refuse_rows(path, problems, total)
    return items


def unfolded(record: Any, fields: tuple[str, ...]) -> Any:
    """A copy of the record in which cells that hold JSON text of a list or an object are that list or object.

    Parquet has one type a column, so people store what varies as JSON text; other texts stay as they are.
    """
    if not isinstance(record, Mapping):
        return record
    copied = dict(record)
    for field in fields:
        value = copied.get(field)
        if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
            try:
                copied[field] = json.loads(value)
            except ValueError:
                continue  # A text that merely begins with a bracket.
    return copied
