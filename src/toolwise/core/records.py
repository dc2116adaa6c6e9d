"""Rows of JSONL and Parquet files, numbered, with what is wrong where a row cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError

_LISTED = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Attributes:
        number: Line of a JSONL file, or row of a Parquet file, counted from 1.
        record: Its content; None if it cannot be read.
        problem: Why it cannot be read; empty if it can.
    """

    number: int
    record: Any
    problem: str = ""


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a ``.jsonl`` or ``.parquet`` file; blank lines are skipped.

    Raises:
        ToolwiseError: The file is missing, is a folder, cannot be read, or has another suffix.
    """
    if path.suffix not in (".jsonl", ".parquet"):
        raise ToolwiseError(
            f"the suffix '{path.suffix}' is not known", where=str(path), mend="give a .jsonl or .parquet file"
        )
    if not path.is_file():
        raise ToolwiseError(
            "is a folder" if path.is_dir() else "does not exist", where=str(path), mend="check the path"
        )
    return jsonl_rows(path) if path.suffix == ".jsonl" else _parquet_rows(path)


def refuse_rows(path: Path, problems: Sequence[tuple[int, str]], total: int) -> None:
    """Raise one error that lists the first broken rows and counts them all; nothing if there is none.

    Args:
        path: The file.
        problems: Row number, and what is wrong with it and how to mend it.
        total: Number of rows in the file.

    Raises:
        ToolwiseError: There is a problem, or no row at all.
    """
    if problems:
        lines = [f"{len(problems)} of {total} rows cannot be used"]
        lines += [f"  row {number}: {problem}" for number, problem in problems[:_LISTED]]
        if len(problems) > _LISTED:
            lines.append(f"  … and {len(problems) - _LISTED} more")
        raise ToolwiseError(
            "\n".join(lines),
            where=str(path),
            mend="mend or remove these rows; nothing was taken from the file",
        )
    if not total:
        raise ToolwiseError("has no rows", where=str(path), mend="is it the right file?")


def jsonl_rows(path: Path) -> Iterator[Row]:
    """The rows of a file of JSON lines, whatever its suffix; blank lines are skipped.

    Raises:
        ToolwiseError: The file cannot be opened.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ToolwiseError(
            f"cannot be opened: {error.strerror}", where=str(path), mend="check who may read it"
        ) from error
    with file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8"), object_pairs_hook=_object)
                if b"\\u" in line:
                    json.dumps(record, ensure_ascii=False).encode("utf-8")
            except UnicodeEncodeError:
                yield Row(number, None, "has half a character (a lone \\ud800 … \\udfff) → write it whole")
            except UnicodeDecodeError as error:
                yield Row(number, None, f"is not UTF-8 (byte {error.start}) → save the file as UTF-8")
            except json.JSONDecodeError as error:
                yield Row(
                    number, None, f"is not JSON: {error.msg} at column {error.colno} → one object a line"
                )
            except (RecursionError, ValueError) as error:
                yield Row(number, None, f"is not usable JSON: {error} → one plain object a line")
            else:
                yield Row(number, record)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key '{twice}' stands twice in one object")
    return record


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            marked = (file.schema_arrow.metadata or {}).get(JSON_COLUMNS, b"[]")
            columns = set(json.loads(marked))
            number = 0
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    number += 1
                    yield _parquet_row(number, record, columns)
    except (pa.ArrowException, OSError) as error:
        raise ToolwiseError(
            f"cannot be read as Parquet: {error}", where=str(path), mend="write the file again"
        ) from error


JSON_COLUMNS = b"toolwise.json_columns"
"""Key of a Parquet file's metadata: a JSON list of the columns whose cells hold JSON text."""


def _parquet_row(number: int, record: Mapping[str, Any], columns: set[str]) -> Row:
    plain: dict[str, Any] = {}
    for key, value in record.items():
        if key in columns and value is not None:
            try:
                plain[key] = json.loads(value)
            except (TypeError, ValueError) as error:
                return Row(number, None, f"field '{key}' is not JSON text: {error} → write the file again")
        else:
            plain[key] = _without_fill(value)
    return Row(number, plain)


def _without_fill(value: Any) -> Any:
    """Drop the nulls with which Parquet fills the keys that only other rows have."""
    if isinstance(value, Mapping):
        return {key: _without_fill(part) for key, part in value.items() if part is not None}
    return [_without_fill(part) for part in value] if isinstance(value, list) else value
