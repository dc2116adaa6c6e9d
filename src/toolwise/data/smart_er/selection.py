"""Selection: which questions go on, and what is made of them (SMART, arXiv 2502.11435, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolwise.data.smart_er import prompts
from toolwise.data.smart_er.asking import ask_json, flag, text, texts
from toolwise.data.stage import Dropped, Record, Work
from toolwise.rewards.numeric import find_numbers, numeric_match
from toolwise.rewards.text import exact_match
from toolwise.sampling.chat import ChatModel


def select(model: ChatModel, *, variants: int = 2) -> Work:
    """The work of the stage: by domain, keep what the model cannot do by itself.

    Math: questions that the model answers wrongly. Time: fast-changing ones, enlarged by variants that the
    model writes, each joined with a fact that hardly changes. Intention: vague tasks that the model could do
    without tools if only it knew what the user has in mind.

    Args:
        model: The auxiliary model.
        variants: New questions of the kind of each fast-changing one, ≥ 0.
    """

    async def work(row: Record) -> list[Record]:
        if row["domain"] == "math":
            return await _hard(model, row)
        if row["domain"] == "time":
            return await _two_hop(model, row, variants)
        return await _intent_alone(model, row)

    return work


async def same_answer(model: ChatModel, question: str, given: str, answers: list[str]) -> bool:
    """Whether an answer is one of the accepted ones: in words, as a number, or as the model judges."""
    if exact_match(given, answers) or any(_same_number(given, answer) for answer in answers):
        return True
    user = f"Question: {question}\nFirst answer: {given}\nSecond answer: {' / '.join(answers)}"
    return await ask_json(model, prompts.SAME, user, lambda value: flag(value, "same"))


def _same_number(given: str, answer: str) -> bool:
    """Only where each is one number and little else: a fraction or a formula is for the judge."""
    ours, theirs = find_numbers(given), find_numbers(answer)
    plain = len(ours) == len(theirs) == 1 and not set("\\^_{}/") & set(given + answer)
    return plain and numeric_match(ours[0], theirs[0], 1e-9)


async def _hard(model: ChatModel, row: Record) -> list[Record]:
    answer = await ask_json(model, prompts.ANSWER, row["question"], lambda value: text(value, "answer"))
    if await same_answer(model, row["question"], answer, row["answers"]):
        raise Dropped("the model answers it without tools", answer)
    return [row | {"hints": {**row["hints"], "wrong_answer": answer}}]


async def _two_hop(model: ChatModel, row: Record, variants: int) -> list[Record]:
    if row["hints"].get("fact_type") != "fast-changing":
        raise Dropped("it is not fast-changing", str(row["hints"].get("fact_type")))
    questions = [row["question"]]
    if variants:
        user = f"Question: {row['question']}\nHow many: {variants}"
        questions += (await ask_json(model, prompts.VARIANTS, user, lambda value: texts(value, "questions")))[
            :variants
        ]
    made: list[Record] = []
    for number, question in enumerate(dict.fromkeys(questions)):
        joined = await ask_json(model, prompts.TWO_HOP, f"Question: {question}", _joined)
        if any(joined["question"] == other["question"] for other in made):
            continue  # It is the same question once more, and no row is lost by it.
        hints = {**row["hints"], **joined, "source_question": row["question"]}
        # Its answer changes, and nobody has written it down: it is found by the chain.
        made.append(
            row
            | {"id": f"{row['id']}-{number}", "question": joined["question"], "answers": [], "hints": hints}
        )
    return made


def _joined(value: Any) -> dict[str, str]:
    return {key: text(value, key) for key in ("question", "fast", "slow")}


async def _intent_alone(model: ChatModel, row: Record) -> list[Record]:
    hints = row["hints"]
    if not hints.get("vague"):
        raise Dropped("it is not vague")
    if not hints.get("missing_details"):
        raise Dropped("nothing is said to be missing")
    user = f"Task: {row['question']}\nWhat the user has in mind:\n{wishes(hints)}"
    if not await ask_json(model, prompts.SOLVABLE, user, lambda value: flag(value, "solvable")):
        raise Dropped("it takes tools even when the intention is known")
    return [row]


def wishes(hints: Mapping[str, Any]) -> str:
    """What the user of a vague task has in mind: of each missing detail the first option."""
    lines = []
    for detail in hints.get("missing_details", ()):
        options = detail.get("options") or ["no preference"]
        lines.append(f"- {detail['description']}: {options[0]}")
    return "\n".join(lines)
