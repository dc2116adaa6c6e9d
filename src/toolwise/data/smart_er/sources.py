"""Readers of what SMART-ER begins with: MATH- and GSM8K-style problems, FreshQA, and IN3."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from toolwise.core import ToolwiseError
from toolwise.core.records import read_rows
from toolwise.data.reading import read_some, whole_rows
from toolwise.data.stage import listed

Domain = Literal["math", "time", "intention"]
DOMAINS: tuple[Domain, ...] = ("math", "time", "intention")
DOMAIN_TOOLS: Mapping[str, tuple[str, ...]] = {
    "math": ("Code",),
    "time": ("Search",),
    "intention": ("AskUser", "Search"),
}
"""SMART's tools of each domain."""


@dataclass(frozen=True, slots=True)
class SourceQuestion:
    """A question of a source.

    Attributes:
        id: Unique within the source.
        domain: One of `DOMAINS`.
        question: As it is put.
        answers: Accepted answers; empty where there is none, as for a vague task.
        hints: What the source says of it: ``solution``, ``level``, ``fact_type``, ``missing_details`` …
    """

    id: str
    domain: Domain
    question: str
    answers: tuple[str, ...] = ()
    hints: Mapping[str, Any] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Plain form: the first row of the pipeline."""
        return {
            "id": self.id,
            "domain": self.domain,
            "question": self.question,
            "answers": list(self.answers),
            "hints": dict(self.hints),
        }


def read_source(
    domain: Domain, path: Path, limit: int | None = None
) -> tuple[list[SourceQuestion], Counter[str]]:
    """The questions of a file, and how many rows were left out for which reason.

    Args:
        domain: Decides the format. ``math``: JSONL or Parquet with ``problem`` or ``question``, ``answer``,
            and perhaps ``solution``, ``level`` and ``subject`` or ``type`` (MATH; of GSM8K, the solution
            stands before ``####``). ``time``: FreshQA's CSV. ``intention``: IN3's JSONL.
        path: The file.
        limit: Most questions, from the start of the file.

    Raises:
        ToolwiseError: The file is missing, of another format, or gives no question.
    """
    rows = _csv_rows(path) if path.suffix == ".csv" else whole_rows(path, read_rows(path))
    questions, left_out = read_some(rows, _READERS[domain], limit)
    if not questions:
        raise ToolwiseError(
            f"gives no question of the domain {domain}: {listed(left_out) or 'it has no rows'}",
            where=str(path),
            mend="check --domain and --source",
        )
    return questions, left_out


def _csv_rows(path: Path) -> Iterable[tuple[int, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ToolwiseError(f"cannot be read: {error}", where=str(path), mend="check the path") from error
    lines = text.splitlines(keepends=True)
    # FreshQA's own sheets begin with lines of remarks.
    start = next((place for place, line in enumerate(lines) if "question" in line.lower().split(",")), 0)
    yield from enumerate(csv.DictReader(lines[start:]), start=1)


def _math(number: int, record: Any) -> SourceQuestion | str:
    question = _text(record, "problem") or _text(record, "question")
    solution, answer = _text(record, "solution"), _text(record, "answer")
    if "####" in answer:
        solution, _, answer = answer.rpartition("####")
    answer = answer.strip() or boxed(solution)
    if not question:
        return "it has no 'problem' or 'question'"
    if not answer:
        return "it has no 'answer' and none in a \\boxed{} of its 'solution'"
    subject = _text(record, "subject") or _text(record, "type")
    hints = {"solution": solution.strip(), "level": _text(record, "level"), "subject": subject}
    return SourceQuestion(
        f"math-{number}", "math", question, (answer,), {key: value for key, value in hints.items() if value}
    )


def boxed(solution: str) -> str:
    r"""What stands in the last ``\boxed{…}`` of a MATH solution, braces balanced; empty if there is none."""
    start = solution.rfind("\\boxed{")
    if start < 0:
        return ""
    depth = 0
    begin = start + len("\\boxed{")
    for place in range(begin, len(solution)):
        if solution[place] == "{":
            depth += 1
        elif solution[place] == "}":
            if not depth:
                return solution[begin:place].strip()
            depth -= 1
    return ""


def _time(number: int, record: Any) -> SourceQuestion | str:
    question = _text(record, "question")
    if not question:
        return "it has no 'question'"
    if not _text(record, "fact_type"):
        return "it has no 'fact_type'"
    if _text(record, "false_premise").upper() == "TRUE":
        return "its premise is false"
    answers = tuple(
        answer for key in record if str(key).startswith("answer") if (answer := _text(record, str(key)))
    )
    hints = {key: _text(record, key) for key in ("fact_type", "num_hops", "effective_year")}
    return SourceQuestion(f"time-{_text(record, 'id') or number}", "time", question, answers, hints)


def _intention(number: int, record: Any) -> SourceQuestion | str:
    question = _text(record, "task")
    if not question:
        return "it has no 'task'"
    vague, details = record.get("vague"), record.get("missing_details")
    if not isinstance(vague, bool) or not isinstance(details, list):
        return "it has no 'vague' or no 'missing_details'"
    kept = [
        {key: detail[key] for key in ("description", "importance", "inquiry", "options") if key in detail}
        for detail in details
        if isinstance(detail, Mapping) and detail.get("description")
    ]
    hints = {"vague": vague, "missing_details": kept, "category": _text(record, "category")}
    return SourceQuestion(f"intention-{number}", "intention", question, (), hints)


_READERS: Mapping[str, Callable[[int, Any], SourceQuestion | str]] = {
    "math": _math,
    "time": _time,
    "intention": _intention,
}


def _text(record: Any, key: str) -> str:
    value = record.get(key) if isinstance(record, Mapping) else None
    return "" if value is None else str(value).strip()
