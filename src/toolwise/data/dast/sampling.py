"""Sampling: how hard each query is, and right and wrong answers of it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from toolwise.core import seed_for
from toolwise.data.dast.levels import LEVELS, Level, accuracy_band
from toolwise.data.dast.plan import DastPlan
from toolwise.data.stage import Dropped, Record, Work


@dataclass(frozen=True, slots=True)
class Drawn:
    """One sample.

    Attributes:
        text: What the policy wrote.
        correct: Whether its answer is right.
    """

    text: str
    correct: bool


@dataclass(frozen=True, slots=True)
class Shot:
    """An exemplar: a query of the training set with a right answer of the policy's own.

    Attributes:
        id: Of the query.
        question: As it is put.
        answer: The whole response.
    """

    id: str
    question: str
    answer: str


Draw = Callable[[str, Sequence[Shot], str, int], Awaitable[Sequence[Drawn]]]
"""Draws samples: id of the query, exemplars, a key that seeds the draw, and how many."""


def estimate(draw: Draw, plan: DastPlan) -> Work:
    """The work of the stage that adds ``samples`` (text, correct), ``share``, ``band`` and ``level``."""

    async def work(row: Record) -> list[Record]:
        drawn = await draw(row["id"], (), "difficulty", plan.samples)
        correct = sum(one.correct for one in drawn)
        level = plan.thresholds.level(correct, len(drawn))
        return [
            row
            | {
                "samples": [{"text": one.text, "correct": one.correct} for one in drawn],
                "share": correct / len(drawn),
                "band": accuracy_band(correct, len(drawn)),
                "level": str(level),
            }
        ]

    return work


def exemplars(rows: Sequence[Record]) -> dict[Level, list[Shot]]:
    """For each level the right answers that may be shown: one a query, the longest by words.

    The unsolved level has none of its own and takes those of the hard one. A level without any takes the next
    easier one's.
    """
    pools: dict[Level, list[Shot]] = {level: [] for level in LEVELS}
    for row in rows:
        right = distinct([one["text"] for one in row["samples"] if one["correct"]])
        if right:
            best = max(right, key=lambda text: len(text.split()))
            pools[Level(row["level"])].append(Shot(row["id"], row["question"], best))
    for place, level in enumerate(LEVELS):
        if not pools[level] and place:
            pools[level] = pools[LEVELS[place - 1]]
    return pools


def augment(
    draw: Draw, plan: DastPlan, targets: Mapping[str, int], pools: Mapping[Level, Sequence[Shot]]
) -> Work:
    """The work of the stage that adds ``right`` and ``wrong`` (distinct texts) and ``spent``.

    Samples are drawn until `targets` are met or the level's budget is spent; right answers beyond the target
    are left out. Without exemplars those of the difficulty count, as they were drawn in the same way; with
    exemplars only their wrong ones do.

    Args:
        draw: Draws samples.
        plan: Settings.
        targets: Right answers wanted, by id.
        pools: Exemplars of each level.
    """

    async def work(row: Record) -> list[Record]:
        level = Level(row["level"])
        wanted = targets[row["id"]]
        right = [] if plan.length else distinct([one["text"] for one in row["samples"] if one["correct"]])
        wrong = [one["text"] for one in row["samples"] if not one["correct"]]
        spent = 0
        while len(right) < wanted and spent < plan.budgets[level]:
            shown = shots_of(row["id"], pools[level], plan, spent) if plan.length else []
            drawn = await draw(
                row["id"], shown, f"answers {spent}", min(plan.chunk, plan.budgets[level] - spent)
            )
            spent += len(drawn)
            right = distinct([*right, *(one.text for one in drawn if one.correct)])
            wrong += [one.text for one in drawn if not one.correct]
        if not right:
            raise Dropped(f"no right answer within the budget of the level {level}", f"{spent} samples")
        return [row | {"right": right[:wanted], "wrong": distinct(wrong), "spent": spent}]

    return work


def shots_of(name: str, pool: Sequence[Shot], plan: DastPlan, spent: int) -> list[Shot]:
    """The exemplars of one chunk: drawn at random from the level's, never the query itself."""
    others = [shot for shot in pool if shot.id != name]
    chooser = random.Random(seed_for(plan.seed, "exemplars", name, spent))
    return chooser.sample(others, min(plan.shots, len(others)))


def preference_pairs(right: Sequence[str], wrong: Sequence[str], most: int) -> list[tuple[str, str]]:
    """Pairs (y+, y−): each right answer with a wrong one, in order; where these are fewer, they come again.

    Args:
        right: Right answers of a query.
        wrong: Wrong answers of the same query; none: no pair.
        most: Pairs at most.
    """
    if not wrong:
        return []
    return [(text, wrong[place % len(wrong)]) for place, text in enumerate(right[:most])]


def distinct(texts: Sequence[str]) -> list[str]:
    """The texts that differ in more than spacing; the first of equal ones, empty ones left out."""
    found: dict[str, str] = {}
    for text in texts:
        key = " ".join(text.split())
        if key:
            found.setdefault(key, text)
    return list(found.values())
