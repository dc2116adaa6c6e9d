"""Files of public benchmarks: JSON lists, and JSON lines under any suffix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.core.records import Row, jsonl_rows
from toolwise.data.json_list import json_list_rows


def find_file(folder: Path, *names: str) -> Path:
    """The first of the files that is there.

    Raises:
        ToolwiseError: None is there, or the folder itself is missing.
    """
    if not folder.is_dir():
        raise ToolwiseError(
            "is no folder" if folder.exists() else "does not exist",
            where=str(folder),
            mend="give the folder with the benchmark's files",
        )
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ToolwiseError(
        f"holds no file {' or '.join(names)}",
        where=str(folder),
        mend="give the folder with the benchmark's files, under their published names",
    )


def json_rows(path: Path) -> Iterator[Row]:
    """The records of a file that holds a JSON list, or one JSON object a line; numbered from 1.

    Raises:
        ToolwiseError: The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ToolwiseError(f"cannot be read: {error}", where=str(path), mend="get it again") from error
    yield from json_list_rows(path) if text.lstrip().startswith("[") else jsonl_rows(path)


def field_of(record: Any, name: str, kind: type | tuple[type, ...] = str) -> Any:
    """A field of a record.

    Raises:
        ToolwiseError: The record has no such field, or it is something else.
    """
    if not isinstance(record, Mapping) or name not in record:
        raise ToolwiseError(f"field '{name}' is missing", mend="is it a file of this benchmark?")
    value = record[name]
    if not isinstance(value, kind) or (isinstance(value, str) and not value.strip()):
        raise ToolwiseError(
            f"field '{name}' is {type(value).__name__}", mend="is it a file of this benchmark?"
        )
    return value
