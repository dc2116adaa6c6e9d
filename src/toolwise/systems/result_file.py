"""``results.json``: a list of records, one for each policy, written whole or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError


def file_stem(name: str) -> str:
    """A model's name as it may stand in the name of a file: letters, digits, ``_``, ``-`` and inner dots."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".") or "policy"


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """What the disk refuses becomes a ToolwiseError that names the folder."""
    try:
        yield
    except OSError as error:
        raise ToolwiseError(
            f"the results cannot be written: {error.strerror}", where=str(out), mend="check disk and rights"
        ) from error


def other_results(
    path: Path, record: Mapping[str, Any], keys: Sequence[str] = ("policy", "seed")
) -> list[Any]:
    """What stands in the file of results, but for an earlier record with the same keys.

    Raises:
        ToolwiseError: The file holds something else.
    """
    if not path.is_file():
        return []
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        return [old for old in there if any(old[key] != record[key] for key in keys)]
    except (ValueError, TypeError, KeyError) as error:
        raise ToolwiseError(
            "is there already and is no list of results", where=str(path), mend="choose another --out"
        ) from error


def write_result(path: Path, record: dict[str, Any], keys: Sequence[str] = ("policy", "seed")) -> None:
    """Add a record to the file of results, in the place of one with the same keys.

    Raises:
        ToolwiseError: As in `other_results`.
    """
    earlier = other_results(path, record, keys)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(json.dumps([*earlier, record], indent=1), encoding="utf-8")
    unfinished.replace(path)


def drop_torn_line(path: Path) -> None:
    """Cut off a last line that a killed run has left half written; a whole one ends with a line break."""
    if not path.is_file():
        return
    with path.open("rb+") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            os.truncate(path, data.rfind(b"\n") + 1)
