"""Rationales: a teacher explains the right answer; it is told which one it is (TinyLLM, section 3)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolwise.core import Message, ToolwiseError, seed_for
from toolwise.core.records import read_rows
from toolwise.data.stage import Dropped, Record, Work
from toolwise.data.tinyllm.questions import ChoiceQuestion
from toolwise.sampling.chat import ChatModel, ChatParams

EXAMPLES = 2
"""Questions of the same set that stand before the one that is asked."""

SYSTEM = """\
You explain answers to multiple-choice questions to a student. Each question comes with its options and
the right answer. Say in a few plain sentences why this answer is right, and what speaks against the others
where that helps. Do not doubt the answer, and write nothing but the explanation."""
"""In the project's own words; the published teachers got no instruction beyond the layout."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """Where rationales come from.

    Attributes:
        name: Of its part of the data; its weight in the loss goes by it.
        work: Adds ``rationale`` to a row.
        settings: What the work depends on besides the row; with others its stage is done anew.
    """

    name: str
    work: Work
    settings: Mapping[str, object]


def teacher_prompt(question: ChoiceQuestion, examples: Sequence[ChoiceQuestion]) -> list[Message]:
    """What a teacher reads: the examples, then the question, each with its options and its right answer.

    Order as published: question, options, answer, then the invitation to reason.
    """
    parts = [_shown(one) for one in (*examples, question)]
    asked = "\n\n".join(parts) + "\nRationale: Let's think step by step."
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}]


def ask_teacher(
    model: ChatModel,
    questions: Sequence[ChoiceQuestion],
    *,
    examples: int = EXAMPLES,
    seed: int = 0,
    max_tokens: int = 512,
) -> Work:
    """The work of a teacher that is asked.

    Args:
        model: The teacher.
        questions: The whole set, from which examples are drawn at random.
        examples: How many.
        seed: Decides which.
        max_tokens: Of a rationale.
    """
    by_id = {question.id: question for question in questions}

    async def work(row: Record) -> list[Record]:
        question = by_id[row["id"]]
        shown = chosen_examples(question, questions, examples, seed)
        reply = await model.chat(teacher_prompt(question, shown), ChatParams(max_tokens=max_tokens))
        rationale = reply.content.strip()
        if not rationale:
            raise Dropped("the teacher said nothing")
        if reply.finish_reason == "length":
            raise Dropped("the rationale was cut", rationale)
        return [row | {"rationale": rationale}]

    return work


def chosen_examples(
    question: ChoiceQuestion, questions: Sequence[ChoiceQuestion], count: int, seed: int
) -> list[ChoiceQuestion]:
    """Other questions of the set, drawn at random; fewer where there are no more."""
    others = [one for one in questions if one.id != question.id]
    return random.Random(seed_for(seed, "examples", question.id)).sample(others, min(count, len(others)))


def from_file(name: str, path: Path) -> Teacher:
    """A teacher whose rationales are written down: rows with ``id`` and ``rationale``.

    Raises:
        ToolwiseError: A row cannot be used.
    """
    written: dict[str, str] = {}
    for row in read_rows(path):
        record = row.record if isinstance(row.record, Mapping) else {}
        identity, rationale = record.get("id"), record.get("rationale")
        if row.problem or identity is None or not isinstance(rationale, str):
            raise ToolwiseError(
                row.problem or "has no 'id' or no text 'rationale'",
                where=f"{path}, row {row.number}",
                mend="give each row the id of its question and the rationale",
            )
        written[str(identity)] = rationale.strip()

    async def work(row: Record) -> list[Record]:
        if not written.get(row["id"]):
            raise Dropped("the file has no rationale for it")
        return [row | {"rationale": written[row["id"]]}]

    # With other rationales the stage is done anew.
    return Teacher(name, work, {"rationales": written})


def student_input(question: ChoiceQuestion, prefix: str) -> str:
    """What the student reads: the task's prefix, the question, and one option a line."""
    options = "\n".join(f"({chr(ord('a') + place)}) {text}" for place, text in enumerate(question.options))
    return f"{prefix}{question.question}\nAnswer Choices:\n{options}"


def _shown(question: ChoiceQuestion) -> str:
    letters = [f"({chr(ord('a') + place)})" for place in range(len(question.options))]
    options = " ".join(f"{letter} {text}" for letter, text in zip(letters, question.options, strict=True))
    return f"Question: {question.question}\nOptions: {options}\nAnswer: {letters[question.answer]}"
