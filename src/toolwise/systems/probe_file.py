"""The file of a probe: a task file that grows question by question and is gone on with after a stop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolwise.core import Task, ToolwiseError
from toolwise.data import read_tasks, write_tasks
from toolwise.systems.result_file import drop_torn_line

SETTINGS = "probe"
"""Key of ``info`` under which each task says how it was probed."""


class ProbeFile:
    """Tasks with what was found of them, appended as they are finished.

    Args:
        path: ``.jsonl``; may hold the questions of a probe that was stopped.
        settings: How questions are asked and judged. A file that was made otherwise is refused.

    Attributes:
        found: The finished tasks, by id.

    Raises:
        ToolwiseError: The file cannot be read or written, is no file of a probe, or is one of another probe.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, dict(settings)
        if path.suffix != ".jsonl":
            raise ToolwiseError(
                f"the suffix '{path.suffix}' cannot be appended to",
                where=str(path),
                mend="name a .jsonl file",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            drop_torn_line(path)
            path.open("a").close()
        except OSError as error:
            raise _unwritable(path, error) from error
        self.found: dict[str, Task] = {}
        if path.stat().st_size:
            self.found = {task.id: self._own(task) for task in read_tasks(path)}

    def add(self, task: Task, correct: int, extra: Mapping[str, Any]) -> None:
        """Append one finished question.

        Args:
            task: With its marks.
            correct: Number of right answers.
            extra: What else the file shall say of it.

        Raises:
            ToolwiseError: The disk refuses.
        """
        info = {**task.info, SETTINGS: {**self.settings, "correct": correct, **extra}}
        kept = Task(task.id, task.prompt, task.tools, task.answer, info)
        line = json.dumps(kept.to_record(), ensure_ascii=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.found[task.id] = kept

    def finish(self, order: Sequence[str], marks: Mapping[str, Task]) -> None:
        """Write the file anew, in the order of the questions.

        Args:
            order: Ids of the tasks.
            marks: Tasks by id whose ``info`` replaces what stands there.
        """
        write_tasks(self.path, [marks[name] for name in order])

    def _own(self, task: Task) -> Task:
        there = task.info.get(SETTINGS)
        if not isinstance(there, Mapping) or not isinstance(there.get("correct"), int):
            raise ToolwiseError(
                f"task '{task.id}' was not written by a probe",
                where=str(self.path),
                mend="name a file that is not there yet with --out",
            )
        for key, value in self.settings.items():
            if there.get(key) != value:
                raise ToolwiseError(
                    f"was probed with {key} {there.get(key)!r}, not {value!r}",
                    where=str(self.path),
                    mend="go on with the settings of then, or name another file with --out",
                )
        return task


def _unwritable(path: Path, error: OSError) -> ToolwiseError:
    return ToolwiseError(
        f"cannot be written: {error.strerror}", where=str(path), mend="check disk, path and rights"
    )
