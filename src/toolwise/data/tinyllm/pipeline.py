"""From questions and teachers to the student's data: answers, and each teacher's rationales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolwise.core import Task, ToolwiseError
from toolwise.data.demonstrations import Demonstration, write_demonstrations
from toolwise.data.stage import Record, StageReport, Suffix, run_stage
from toolwise.data.tasks import write_tasks
from toolwise.data.tinyllm.questions import ChoiceQuestion
from toolwise.data.tinyllm.rationales import Teacher, student_input
from toolwise.data.writing import write_records

ANSWER = "answer"
"""Part of the data that holds the answers."""
PUBLISHED_PREFIXES = ("explain: ", "rationale: ")
"""Of the first and the second teacher, in the authors' code; a third one gets its name in front."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is written.

    Attributes:
        stages: What each teacher explained, and what was dropped.
        parts: Demonstrations of each part.
    """

    stages: tuple[StageReport, ...]
    parts: Mapping[str, int]


def prefixes(teachers: Sequence[str]) -> dict[str, str]:
    """The words that tell the student which task it is to do, by part."""
    named = {ANSWER: "predict: "}
    for place, name in enumerate(teachers):
        known = place < len(PUBLISHED_PREFIXES)
        named[name] = PUBLISHED_PREFIXES[place] if known else f"rationale of {name}: "
    return named


async def prepare_distillation(
    questions: Sequence[ChoiceQuestion],
    teachers: Sequence[Teacher],
    out: Path,
    *,
    suffix: Suffix = ".jsonl",
    concurrency: int = 8,
) -> Prepared:
    """Collect rationales and write the student's data; the same call goes on after a stop.

    Writes ``1-questions``, a stage ``2-rationales-NAME`` for each teacher, ``demonstrations`` (each
    question's answer, and its rationale by each teacher, as parts ``answer`` and the teachers' names), and
    ``tasks`` (the questions with the answer's prefix; exact match of the option's text is the published
    accuracy).

    Args:
        questions: Of one set.
        teachers: With different names.
        out: The folder.
        suffix: Of the files.
        concurrency: Questions that a teacher is asked at once.

    Raises:
        ToolwiseError: Two teachers have one name, or what a stage raises.
    """
    names = [teacher.name for teacher in teachers]
    if len(set(names)) < len(names) or ANSWER in names or not all(_is_name(name) for name in names):
        raise ToolwiseError(
            f"the teachers' names {names} must differ, be plain words, and not be '{ANSWER}'",
            where="teachers",
            mend="give each its own, as in --teacher small=FILE --teacher large=URL#MODEL",
        )
    rows: list[Record] = [
        {"id": one.id, "question": one.question, "options": list(one.options), "answer": one.answer}
        for one in questions
    ]
    write_records(out / f"1-questions{suffix}", rows)
    reports, rationales = [], {}
    for teacher in teachers:
        explained, report = await run_stage(
            f"2-rationales-{teacher.name}",
            rows,
            teacher.work,
            out,
            settings=teacher.settings,
            suffix=suffix,
            concurrency=concurrency,
        )
        reports.append(report)
        rationales[teacher.name] = {row["id"]: row["rationale"] for row in explained}
    before = prefixes(names)
    made: list[Demonstration] = []
    for question in questions:
        targets = {ANSWER: question.answer_text}
        targets |= {name: found[question.id] for name, found in rationales.items() if question.id in found}
        for part, target in targets.items():
            messages = (
                {"role": "user", "content": student_input(question, before[part])},
                {"role": "assistant", "content": target},
            )
            made.append(Demonstration(f"{question.id}/{part}", messages, (), part))
    write_demonstrations(out / f"demonstrations{suffix}", made)
    write_tasks(out / f"tasks{suffix}", [_task(question, before[ANSWER]) for question in questions])
    counts = {part: sum(one.part == part for one in made) for part in before}
    return Prepared(tuple(reports), counts)


def _task(question: ChoiceQuestion, prefix: str) -> Task:
    prompt = ({"role": "user", "content": student_input(question, prefix)},)
    return Task(question.id, prompt, answer=question.answer_text)


def _is_name(name: str) -> bool:
    return bool(name) and all(sign.isalnum() or sign in "-_." for sign in name) and name[0] != "."
