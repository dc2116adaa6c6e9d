"""Rows of files that hold one JSON list, as many published data sets do, beside those of `read_rows`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from toolwise.core import ToolwiseError
from toolwise.core.records import Row, read_rows


def list_rows(path: Path) -> Iterator[Row]:
    """The rows of a file as `read_rows` takes it, or of a ``.json`` file that holds one list.

    Raises:
        ToolwiseError: The file is missing, or is none of these.
    """
    return json_list_rows(path) if path.suffix == ".json" else read_rows(path)


def json_list_rows(path: Path) -> Iterator[Row]:
    """The entries of the list, numbered from 1.

    Raises:
        ToolwiseError: The file is missing, is no JSON, or holds something else than a list.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ToolwiseError("does not exist", where=str(path), mend="check the path") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ToolwiseError(
            f"cannot be read as JSON: {error}", where=str(path), mend="get it again"
        ) from error
    if not isinstance(records, list):
        raise ToolwiseError("is not a list", where=str(path), mend="give a .json file that holds one list")
    for number, record in enumerate(records, start=1):
        yield Row(number, record)
