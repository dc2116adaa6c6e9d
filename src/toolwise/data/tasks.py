"""Tasks from files and into files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from toolwise.core import Task
from toolwise.core.records import Row, read_rows
from toolwise.data.formats import gsm8k_task, rlla_task
from toolwise.data.json_list import list_rows
from toolwise.data.messages import check_calls
from toolwise.data.question_answering import qa_task, search_r1_task
from toolwise.data.reading import read_all, unfolded
from toolwise.data.writing import write_records

TaskFormat = Literal["gsm8k", "rlla", "search_r1", "qa"]


def read_tasks(path: str | Path, format: TaskFormat | None = None) -> list[Task]:
    """The tasks of a file.

    Args:
        path: ``.jsonl`` or ``.parquet`` with the fields of `Task`; Parquet may hold ``prompt``, ``tools`` and
            ``info`` as nested columns or as JSON text.
        format: The file is in a published format instead: GSM8K's; that of ToolRL's data (``.parquet`` in
            verl's layout, or the ``.json`` list); that of Search-R1's data; or plain questions and answers
            (``qa``: ``.jsonl``, ``.parquet`` or a ``.json`` list), see `qa_task`.

    Returns:
        At least one task, in the order of the file.

    Raises:
        ToolwiseError: The file cannot be read, or lists the rows that cannot be used: number, field, mend.
    """
    path = Path(path)
    if format == "gsm8k":
        return read_all(path, read_rows(path), gsm8k_task)
    if format == "rlla":
        return read_all(path, list_rows(path), rlla_task)
    if format == "search_r1":
        return read_all(path, read_rows(path), search_r1_task)
    if format == "qa":
        return read_all(path, list_rows(path), qa_task)
    folded = ("prompt", "tools", "info") if path.suffix == ".parquet" else ()

    def make(row: Row) -> Task:
        task = Task.from_record(unfolded(row.record, folded))
        for index, message in enumerate(task.prompt):
            check_calls(message, f"prompt[{index}]")
        return task

    return read_all(path, read_rows(path), make)


def write_tasks(path: str | Path, tasks: Sequence[Task]) -> None:
    """Write tasks as ``.jsonl`` or ``.parquet``; `read_tasks` gives them back.

    In Parquet, ``prompt`` is a list of structs where its messages have only role and content, ``tools`` a
    list of texts where all are names, ``answer`` a text or list of texts where all are; what varies is JSON
    text, and the file's metadata say which columns are.

    Raises:
        ToolwiseError: The suffix is not known, a task holds what JSON cannot, or the disk refuses.
    """
    write_records(Path(path), [task.to_record() for task in tasks])
