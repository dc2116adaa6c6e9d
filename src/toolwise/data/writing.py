"""Write records as JSONL or Parquet, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.core.records import JSON_COLUMNS


def write_records(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write one row a record; the suffix chooses the format. The file appears only when it is complete.

    In Parquet, a key that a record lacks is null.

    Raises:
        ToolwiseError: The suffix is not known, a record holds what JSON cannot, or the disk refuses.
    """
    if path.suffix not in (".jsonl", ".parquet"):
        raise ToolwiseError(
            f"the suffix '{path.suffix}' is not known", where=str(path), mend="write to .jsonl or .parquet"
        )
    lines = [_json(record, path, number) for number, record in enumerate(records, start=1)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".part")
        if path.suffix == ".jsonl":
            unfinished.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        else:
            _write_parquet(unfinished, [json.loads(line) for line in lines])
        os.replace(unfinished, path)
    except OSError as error:
        raise ToolwiseError(
            f"cannot be written: {error.strerror}", where=str(path), mend="check disk and rights"
        ) from error


def _json(value: Any, path: Path, number: int) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise ToolwiseError(
            f"JSON cannot hold it: {error}", where=f"{path}, row {number}", mend="use plain values"
        ) from error
    return text


def _write_parquet(path: Path, records: Sequence[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, texts = pa.string(), pa.list_(pa.string())
    messages = pa.list_(pa.struct([("role", text), ("content", text)]))
    shapes: list[tuple[Callable[[Any], bool], Any]] = [
        (lambda cell: isinstance(cell, str), text),
        (_is_texts, texts),
        (_is_plain_messages, messages),
    ]
    columns, fields, as_json = [], [], []
    for name in dict.fromkeys(key for record in records for key in record):
        cells = [record.get(name) for record in records]
        kind = next(
            (kind for fits, kind in shapes if all(cell is None or fits(cell) for cell in cells)), None
        )
        if kind is None:
            kind = text
            as_json.append(name)
            cells = [None if cell is None else json.dumps(cell, ensure_ascii=False) for cell in cells]
        columns.append(pa.array(cells, type=kind))
        fields.append(pa.field(name, kind))
    schema = pa.schema(fields, metadata={JSON_COLUMNS: json.dumps(as_json).encode()})
    pq.write_table(pa.table(columns, schema=schema), path)


def _is_texts(cell: Any) -> bool:
    return isinstance(cell, list) and all(isinstance(part, str) for part in cell)


def _is_plain_messages(cell: Any) -> bool:
    return isinstance(cell, list) and all(
        isinstance(part, dict)
        and set(part) == {"role", "content"}
        and all(isinstance(value, str) for value in part.values())
        for part in cell
    )
