"""Questions with short answers (Bamboogle, NQ-open, multi-hop sets) and mathematics (GSM8K, MATH-500)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from toolwise.core import Message, Task, ToolwiseError
from toolwise.core.records import Row
from toolwise.data.benchmarks.files import field_of, find_file, json_rows
from toolwise.data.formats import gsm8k_task
from toolwise.data.reading import read_all

_SHORT = (
    "Answer the question. Use the tools you are given only where you need them. Write the final answer, as "
    "short as it can be, on a line of its own after 'Answer:'."
)
_MATH = "Solve the problem. Write the final answer within \\boxed{}."
_MULTIHOP = {"hotpotqa": "HotpotQA", "2wiki": "2WikiMultihopQA", "musique": "MuSiQue"}


def read_bamboogle(folder: str | Path) -> list[Task]:
    """Bamboogle (Press et al. 2023) from ``data.json``; ``answer`` is a text.

    Raises:
        ToolwiseError: The file is missing or cannot be used.
    """
    path = find_file(Path(folder), "data.json")

    def make(row: Row) -> Task:
        question, answer = field_of(row.record, "Question"), field_of(row.record, "Answer")
        return Task(f"bamboogle-{row.number}", _asked(question), answer=answer)

    return read_all(path, json_rows(path), make)


def read_nq_open(folder: str | Path) -> list[Task]:
    """NQ-open (Lee et al. 2019) from ``NQ-open.dev.jsonl``; ``answer`` is a list of aliases.

    Raises:
        ToolwiseError: The file is missing or cannot be used.
    """
    path = find_file(Path(folder), "NQ-open.dev.jsonl")
    return read_all(path, json_rows(path), partial(_aliases_task, name="nq-open", category=""))


def read_multihop(folder: str | Path) -> list[Task]:
    """HotpotQA, 2WikiMultihopQA and MuSiQue from ``SET/test.jsonl``; sets that are missing are left out.

    ``answer`` is a list of aliases, ``info.category`` the set.

    Raises:
        ToolwiseError: No set is there, or a file cannot be used.
    """
    place = Path(folder)
    find_file(place, *(f"{name}/test.jsonl" for name in _MULTIHOP))
    return [
        task
        for name in _MULTIHOP
        if (path := place / name / "test.jsonl").is_file()
        for task in read_all(path, json_rows(path), partial(_aliases_task, name=name, category=name))
    ]


def read_gsm8k(folder: str | Path) -> list[Task]:
    """GSM8K (Cobbe et al. 2021) from ``test.jsonl``; ``answer`` is a number as text.

    Raises:
        ToolwiseError: The file is missing or cannot be used.
    """
    path = find_file(Path(folder), "test.jsonl")

    def make(row: Row) -> Task:
        task = gsm8k_task(row)
        return Task(task.id, _asked(str(task.prompt[0]["content"]), _MATH), answer=task.answer)

    return read_all(path, json_rows(path), make)


def read_math500(folder: str | Path) -> list[Task]:
    """MATH-500 (Hendrycks et al. 2021; Lightman et al. 2023) from ``test.jsonl``; ``answer`` is LaTeX.

    The question stands in ``question`` or ``problem``. ``info.category`` is ``subject``, where it is given.

    Raises:
        ToolwiseError: The file is missing or cannot be used.
    """
    path = find_file(Path(folder), "test.jsonl")

    def make(row: Row) -> Task:
        record = row.record
        asked = "problem" if isinstance(record, dict) and "problem" in record else "question"
        question, answer = field_of(record, asked), field_of(record, "answer")
        category = record.get("subject", "")
        return Task(
            f"math500-{row.number}",
            _asked(question, _MATH),
            answer=answer,
            info={"category": category} if category else {},
        )

    return read_all(path, json_rows(path), make)


def _asked(question: str, how: str = _SHORT) -> tuple[Message, ...]:
    return ({"role": "system", "content": how}, {"role": "user", "content": question.strip()})


def _aliases_task(row: Row, name: str, category: str) -> Task:
    answers: list[Any] = field_of(row.record, "answer", list)
    if not answers or not all(isinstance(alias, str) for alias in answers):
        raise ToolwiseError("field 'answer' is no list of texts", mend="is it a file of this benchmark?")
    return Task(
        f"{name}-{row.number}",
        _asked(field_of(row.record, "question")),
        answer=answers,
        info={"category": category} if category else {},
    )
