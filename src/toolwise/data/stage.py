"""A stage of a pipeline: rows in, rows out, and what was dropped and why. It can be stopped anywhere."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from toolwise.core import ToolwiseError, seed_for
from toolwise.core.records import read_rows
from toolwise.data.writing import write_records

Record = dict[str, Any]
Work = Callable[[Record], Awaitable[Sequence[Record]]]
Suffix = Literal[".jsonl", ".parquet"]
REVIEWED = 0.05
"""Share of each stage's rows that people should look at (SMART, arXiv 2502.11435: 5 % a stage)."""


class Dropped(Exception):  # noqa: N818 - it is an outcome, no error
    """Raised by a stage's work for a row that does not go on.

    Args:
        reason: Why, in words that are equal for equal causes: drops are counted by it.
        detail: What exactly was found.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage did.

    Attributes:
        name: Of the stage.
        read: Rows in.
        kept: Rows out; a stage may make several of one.
        dropped: Rows that do not go on, by reason.
    """

    name: str
    read: int
    kept: int
    dropped: Mapping[str, int]

    def to_record(self) -> Record:
        """Plain form for JSON."""
        return {"stage": self.name, "read": self.read, "kept": self.kept, "dropped": dict(self.dropped)}


def listed(counts: Mapping[str, int]) -> str:
    """Reasons and how often each occurred, as one line; empty if there are none."""
    return "; ".join(f"{count} × {reason}" for reason, count in counts.items())


def require_rows(kept: Sequence[Record], report: StageReport, folder: Path) -> None:
    """Refuse to go on after a stage that no row came through.

    Raises:
        ToolwiseError: Says why the rows were dropped, and where they stand.
    """
    if not kept:
        raise ToolwiseError(
            f"no row came through stage '{report.name}': {listed(report.dropped)}",
            where=str(folder),
            mend=f"look into {report.name}.dropped.jsonl",
        )


async def run_stage(
    name: str,
    rows: Sequence[Record],
    work: Work,
    folder: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    suffix: Suffix = ".jsonl",
    concurrency: int = 8,
) -> tuple[list[Record], StageReport]:
    """Do a stage's work on every row, each once, however often it is stopped.

    Writes ``NAME.jsonl`` (or ``.parquet``) with the rows that go on, in the order of the input,
    ``NAME.dropped.jsonl`` with the others, and ``review/NAME.jsonl`` with a sample for people to look at. A
    stage whose input and settings are those of the last time is read instead of done.

    Args:
        name: Of its files.
        rows: Each with its own ``id``.
        work: Gives the rows that one row becomes, or raises `Dropped`; what else it raises stops the stage.
        folder: Where the files are.
        settings: What the work depends on besides the rows.
        suffix: Of the file that the next stage reads.
        concurrency: Rows that are worked on at once.

    Raises:
        ToolwiseError: Two rows have one id, or a file cannot be read or written; and what `work` raises.
    """
    _check_ids(name, rows)
    key = _digest(rows, settings or {})
    done = folder / f"{name}{suffix}"
    journal = _Journal(folder / f"{name}.part.jsonl", key)
    finished = _finished(folder / f"{name}.report.json", key)
    if finished is not None and done.is_file():
        return [dict(row.record) for row in read_rows(done)] if finished.kept else [], finished
    results = journal.open()
    gate = asyncio.Semaphore(concurrency)

    async def one(row: Record) -> None:
        if row["id"] in results:
            return
        async with gate:
            try:
                entry: Record = {"id": row["id"], "kept": list(await work(row))}
            except Dropped as dropped:
                entry = {"id": row["id"], "reason": dropped.reason, "detail": dropped.detail}
        results[row["id"]] = entry
        journal.write(entry)

    try:
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(one(row))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    finally:
        journal.close()
    entries = [results[row["id"]] for row in rows]
    kept = [dict(made) for entry in entries for made in entry.get("kept", ())]
    _check_ids(name, kept)
    lost = [entry for entry in entries if "reason" in entry]
    report = StageReport(name, len(rows), len(kept), Counter(entry["reason"] for entry in lost))
    write_records(done, kept)
    write_records(folder / f"{name}.dropped.jsonl", lost)
    write_records(folder / "review" / f"{name}.jsonl", _sample(name, kept))
    _write_json(folder / f"{name}.report.json", report.to_record() | {"key": key})
    journal.remove()
    # What is handed on is what a later run would read, whichever of the two this was.
    return [dict(row.record) for row in read_rows(done)] if kept else [], report


def _sample(name: str, rows: Sequence[Record]) -> list[Record]:
    count = max(1, round(REVIEWED * len(rows))) if rows else 0
    chosen = random.Random(seed_for("review", name, len(rows))).sample(range(len(rows)), count)
    return [{"pass": None, **rows[place]} for place in sorted(chosen)]


def _check_ids(name: str, rows: Sequence[Record]) -> None:
    twice = [row for row, count in Counter(row["id"] for row in rows).items() if count > 1]
    if twice:
        raise ToolwiseError(
            f"{len(twice)} ids stand twice, for instance {twice[0]!r}",
            where=f"stage '{name}'",
            mend="give every row its own id",
        )


def _digest(rows: Sequence[Record], settings: Mapping[str, Any]) -> str:
    text = json.dumps([list(rows), dict(settings)], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _finished(path: Path, key: str) -> StageReport | None:
    if not path.is_file():
        return None
    record = _read_json(path)
    if record.get("key") != key:
        return None
    return StageReport(record["stage"], record["read"], record["kept"], record["dropped"])


def _read_json(path: Path) -> Record:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ToolwiseError(f"cannot be read: {error}", where=str(path), mend="remove it") from error
    return record if isinstance(record, dict) else {}


def _write_json(path: Path, value: Record) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
    os.replace(partial, path)


class _Journal:
    """What a stage has done so far, line by line; of another input it is begun anew."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._file: Any = None

    def open(self) -> dict[str, Record]:
        """Entries by id; a line that was torn by a stop is left out."""
        entries: dict[str, Record] = {}
        lines = self._path.read_bytes().split(b"\n") if self._path.is_file() else []
        for place, line in enumerate(lines):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if place == 0 and entry.get("key") != self._key:
                break
            if "id" in entry:
                entries[entry["id"]] = entry
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8")
            self._file.write(json.dumps({"key": self._key}) + "\n")
        except OSError as error:
            raise ToolwiseError(
                f"cannot be written: {error.strerror}", where=str(self._path), mend="check disk and rights"
            ) from error
        for entry in entries.values():
            self.write(entry)
        return entries

    def write(self, entry: Record) -> None:
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
