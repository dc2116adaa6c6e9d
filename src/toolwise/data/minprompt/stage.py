"""A stage of MinPrompt: Parquet in, Parquet out, what was left out and why; it goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError

Row = dict[str, Any]
FORMAT = 1
"""Version of the stages' files; those of another version are refused."""
EXAMPLES = 20
"""Rows of each reason that are named in the report."""
_KEY = b"toolwise.minprompt"
STAGES = ("texts", "sentences", "entities", "graph", "selected", "questions", "records")
"""The stages in order; stage n writes ``n-NAME.parquet``."""


def stage_path(out: Path, stage: str) -> Path:
    """The file that a stage writes."""
    return out / f"{STAGES.index(stage) + 1}-{stage}.parquet"


@dataclass(frozen=True, slots=True)
class Left:
    """A row that does not go on.

    Attributes:
        reason: Equal for equal causes: rows are counted by it.
        id: Of the row.
        detail: What exactly was found.
    """

    reason: str
    id: str
    detail: str = ""


@dataclass(slots=True)
class StageReport:
    """What a stage did.

    Attributes:
        stage: Its name.
        read: Rows in.
        kept: Rows out.
        left: Rows that do not go on, by reason.
        examples: Some of each reason: id and detail.
        figures: What else it counted.
    """

    stage: str
    read: int = 0
    kept: int = 0
    left: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def leave(self, rows: Iterable[Left]) -> None:
        """Count rows that do not go on."""
        for row in rows:
            self.left[row.reason] = self.left.get(row.reason, 0) + 1
            shown = self.examples.setdefault(row.reason, [])
            if len(shown) < EXAMPLES:
                shown.append(f"{row.id}: {row.detail}"[:300] if row.detail else row.id)

    def to_record(self) -> Row:
        """Plain form for JSON."""
        return {
            "stage": self.stage,
            "read": self.read,
            "kept": self.kept,
            "left": self.left,
            "examples": self.examples,
            "figures": self.figures,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> StageReport:
        """Inverse of `to_record`."""
        return cls(**{name: record[name] for name in cls.__slots__})


def digest(*parts: Any) -> str:
    """A key that changes when any part does."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def file_key(path: Path) -> str:
    """The key with which a stage's file was written: it stands for all that the file depends on.

    Raises:
        ToolwiseError: The file is missing, or is none of a stage, or of another version.
    """
    return str(_meta(path)["key"])


def read_stage(path: Path) -> tuple[Any, StageReport]:
    """Table and report of a stage's file; errors as in `file_key`."""
    import pyarrow.parquet as pq

    meta = _meta(path)
    return pq.read_table(path), StageReport.from_record(meta["report"])


def finished(path: Path, key: str) -> StageReport | None:
    """The report of a stage that is done already, None if it is not, or of other input or settings."""
    if not path.is_file():
        return None
    try:
        meta = _meta(path)
    except ToolwiseError:
        return None
    return StageReport.from_record(meta["report"]) if meta["key"] == key else None


def write_stage(path: Path, columns: Any, key: str, report: StageReport) -> None:
    """Write a stage's table, whole or not at all.

    Raises:
        ToolwiseError: The disk refuses.
    """
    import pyarrow.parquet as pq

    meta = {"version": FORMAT, "key": key, "report": report.to_record()}
    table = columns.replace_schema_metadata({_KEY: json.dumps(meta, ensure_ascii=False).encode()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".part")
        pq.write_table(table, unfinished, compression="zstd")
        os.replace(unfinished, path)
    except OSError as error:
        raise ToolwiseError(
            f"cannot be written: {error.strerror}", where=str(path), mend="check disk and rights"
        ) from error


Work = Callable[[list[Row]], tuple[list[Row], list[Left], dict[str, int]]]
"""Rows of one chunk in; rows out, those left out, and further counts, which are added up."""


def run_chunks(
    path: Path,
    name: str,
    key: str,
    table: Any,
    work: Work,
    schema: Any,
    *,
    chunk: int = 2000,
    run: Callable[[Work, Iterator[list[Row]]], Iterable[Any]] = map,
) -> StageReport:
    """Do a stage's work chunk by chunk; finished chunks lie in ``NAME.parts`` until the stage is done.

    Args:
        path: The stage's file.
        name: Of the stage.
        key: See `digest`; a stage that was finished with the same key is not done again.
        table: Rows in.
        work: For one chunk; it depends on nothing but its rows.
        schema: Of the rows out.
        chunk: Rows of one chunk.
        run: How chunks are worked on: `map`, or one that spreads them over processes or machines and keeps
            the order.

    Raises:
        ToolwiseError: A file cannot be written, and what `work` raises.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    done = finished(path, key)
    if done is not None:
        return done
    parts = path.with_name(path.name + ".parts")
    known = parts / "key"
    if not known.is_file() or known.read_text(encoding="utf-8") != key:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        known.write_text(key, encoding="utf-8")
    starts = range(0, table.num_rows, chunk)
    files = [parts / f"{number:06d}.parquet" for number in range(len(starts))]
    open_ = [number for number, file in enumerate(files) if finished(file, key) is None]
    todo = (table.slice(starts[number], chunk).to_pylist() for number in open_)
    for number, (rows, left, counts) in zip(open_, run(work, todo), strict=True):
        part = StageReport(name, min(chunk, table.num_rows - starts[number]), len(rows))
        part.leave(left)
        part.figures = dict(counts)
        write_stage(files[number], pa.Table.from_pylist(rows, schema=schema), key, part)
    report = _merged(name, [read_report(file) for file in files])
    tables = [pq.read_table(file) for file in files]
    whole = pa.concat_tables(tables) if tables else schema.empty_table()
    write_stage(path, whole, key, report)
    shutil.rmtree(parts)
    return report


def read_report(path: Path) -> StageReport:
    """The report in a stage's file; errors as in `file_key`."""
    return StageReport.from_record(_meta(path)["report"])


def _merged(name: str, parts: Sequence[StageReport]) -> StageReport:
    whole = StageReport(name, sum(part.read for part in parts), sum(part.kept for part in parts))
    left: Counter[str] = Counter()
    figures: Counter[str] = Counter()
    for part in parts:
        left.update(part.left)
        figures.update(part.figures)
        for reason, shown in part.examples.items():
            there = whole.examples.setdefault(reason, [])
            there += shown[: EXAMPLES - len(there)]
    whole.left, whole.figures = dict(left), dict(figures)
    return whole


def _meta(path: Path) -> Row:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise ToolwiseError(
            "is missing",
            where=str(path),
            mend="run the stage before, or all of them: toolwise data minprompt all",
        )
    try:
        meta = json.loads((pq.read_schema(path).metadata or {}).get(_KEY, b"null"))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ToolwiseError(
            f"cannot be read: {error}", where=str(path), mend="remove it, and run again"
        ) from error
    if not isinstance(meta, dict) or meta.get("version") != FORMAT:
        found = meta.get("version") if isinstance(meta, dict) else None
        raise ToolwiseError(
            f"is of version {found}, and this is version {FORMAT}" if found else "was not written by a stage",
            where=str(path),
            mend="run the stage again that writes it",
        )
    return meta
