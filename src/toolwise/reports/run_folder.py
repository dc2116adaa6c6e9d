"""Reading a run folder: everything in it is optional, and a run that was killed is read as far as it got."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """One training stage of a run: a folder with a config, metrics and rollouts.

    Attributes:
        name: Its folder's name.
        folder: Where it lies.
        config: Text of ``config.yaml``, empty if there is none.
        metrics: One record per step, in order of steps; of a step written twice (a resumed run) the later.
        rollout_files: The files ``rollouts/*.jsonl``, in order of their names.
    """

    name: str
    folder: Path
    config: str
    metrics: tuple[Record, ...]
    rollout_files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class RunContents:
    """What was found in a run folder.

    Attributes:
        path: The folder.
        stages: Its stages, in the order of training.
        results: Records of ``results.json``, empty if there is none.
        unread: Where lines or files could not be read: byte offsets by path within the run.
    """

    path: Path
    stages: tuple[Stage, ...]
    results: tuple[Record, ...]
    unread: dict[str, set[int]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @property
    def broken(self) -> dict[str, int]:
        """How many lines could not be read so far, by path within the run."""
        return {path: len(places) for path, places in sorted(self.unread.items())}

    def skip(self, label: str, offset: int = 0) -> None:
        """Note that something could not be read; noting the same place twice counts once."""
        self.unread.setdefault(label, set()).add(offset)

    def rollouts(self, stage: Stage) -> Iterator[tuple[Path, int, Record]]:
        """Stream a stage's rollouts: file, byte offset of the line, record; broken lines are counted."""
        for path in stage.rollout_files:
            for offset, record in self._lines(path):
                if isinstance(record.get("turns"), list):
                    yield path, offset, record
                else:
                    self.skip(self.label(path), offset)

    def label(self, path: Path) -> str:
        """A file's path within the run, as it is shown to people."""
        return path.relative_to(self.path).as_posix()

    def _lines(self, path: Path) -> Iterator[tuple[int, Record]]:
        offset = 0
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    record = _parse(line)
                    if record is None:
                        self.skip(self.label(path), offset)
                    else:
                        yield offset, record
                offset += len(line)


def read_run(path: Path) -> RunContents:
    """Read a run folder: stage subfolders where it has any, otherwise the folder itself as one stage.

    Raises:
        ToolwiseError: The folder is missing, or nothing of a run is in it.
    """
    path = Path(path)
    if not path.is_dir():
        raise ToolwiseError(
            "there is no such run folder", where=str(path), mend="give the folder that --out named"
        )
    run = RunContents(path, (), ())
    stages = tuple(_read_stage(run, folder) for folder in _stage_folders(run))
    found = RunContents(path, stages, _read_results(run), run.unread)
    if not stages and not found.results:
        raise ToolwiseError(
            "the folder holds no run",
            where=str(path),
            mend="a run has metrics.jsonl, rollouts/, results.json, or stage folders with these",
        )
    return found


def read_at(path: Path, offset: int) -> Record:
    """Read again one line that `RunContents.rollouts` has yielded."""
    with path.open("rb") as file:
        file.seek(offset)
        return _parse(file.readline()) or {}


def numbers(record: Record) -> dict[str, float]:
    """The numeric fields of a metrics record."""
    return {
        key: float(value)
        for key, value in record.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _parse(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # a truncated last line, bytes that are no UTF-8, hostile nesting
        return None
    return record if isinstance(record, dict) else None


def _is_stage(folder: Path) -> bool:
    return (folder / "metrics.jsonl").is_file() or any(folder.glob("rollouts/*.jsonl"))


def _stage_folders(run: RunContents) -> list[Path]:
    found = [folder for folder in sorted(run.path.iterdir()) if folder.is_dir() and _is_stage(folder)]
    listed = _listed_stages(run)

    def begun(folder: Path) -> tuple[int, float, str]:
        if folder.name in listed:
            return listed.index(folder.name), 0.0, folder.name
        config = folder / "config.yaml"
        clock = config if config.is_file() else folder
        return len(listed), clock.stat().st_mtime, folder.name

    found.sort(key=begun)
    return ([run.path] if _is_stage(run.path) else []) + found


def _listed_stages(run: RunContents) -> list[str]:
    path = run.path / "stages.json"
    if not path.is_file():
        return []
    try:
        names = json.loads(path.read_bytes())
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        run.skip("stages.json")
        return []
    return names


def _read_stage(run: RunContents, folder: Path) -> Stage:
    config, metrics = folder / "config.yaml", folder / "metrics.jsonl"
    by_step: dict[tuple[str, float], Record] = {}
    if metrics.is_file():
        for _, record in run._lines(metrics):
            step = numbers(record).get("step", float(len(by_step)))
            by_step[str(record.get("phase", "")), step] = {**record, "step": step}
    return Stage(
        name=run.name if folder == run.path else folder.name,
        folder=folder,
        config=config.read_text(encoding="utf-8", errors="replace") if config.is_file() else "",
        metrics=tuple(by_step[key] for key in sorted(by_step, key=lambda key: key[1])),
        rollout_files=tuple(sorted(folder.glob("rollouts/*.jsonl"))),
    )


def _read_results(run: RunContents) -> tuple[Record, ...]:
    path = run.path / "results.json"
    if not path.is_file():
        return ()
    try:
        records = json.loads(path.read_bytes())
    except ValueError:
        records = None
    if not isinstance(records, list):
        run.skip("results.json")
        return ()
    good = [record for record in records if isinstance(record, dict) and "policy" in record]
    for number in range(len(records) - len(good)):
        run.skip("results.json", number)
    return tuple(good)
