"""Turn the rows of a file into objects, or into one error that names every row that cannot be used."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from toolwise.core import ToolwiseError
from toolwise.core.records import Row, refuse_rows


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


_Item = TypeVar("_Item", bound=_Identified)
_Made = TypeVar("_Made")


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


def read_some(
    rows: Iterable[tuple[int, Any]], make: Callable[[int, Any], _Made | str], limit: int | None = None
) -> tuple[list[_Made], Counter[str]]:
    """Make an object of every row that can be one, from the start, and count the others by reason.

    Args:
        rows: Numbers and records.
        make: Gives the object, or why there is none.
        limit: Most objects.
    """
    found: list[_Made] = []
    left_out: Counter[str] = Counter()
    for number, record in rows:
        made = make(number, record)
        if isinstance(made, str):
            left_out[made] += 1
        else:
            found.append(made)
        if limit is not None and len(found) == limit:
            break
    return found, left_out


def whole_rows(path: Path, rows: Iterable[Row]) -> Iterator[tuple[int, Any]]:
    """Numbers and records of rows none of which may be broken.

    Raises:
        ToolwiseError: One is; says which and why.
    """
    for row in rows:
        if row.problem:
            raise ToolwiseError(row.problem, where=f"{path}, row {row.number}", mend="mend or remove the row")
        yield row.number, row.record


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
