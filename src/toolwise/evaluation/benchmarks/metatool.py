"""MetaTool (Huang et al. 2023, arXiv 2310.03128): whether a tool is needed, and which."""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolwise.core import Task
from toolwise.evaluation.benchmarks.benchmark import (
    Benchmark,
    ItemScore,
    Measure,
    ScoredItem,
    accuracies,
    accuracy,
    ratio,
    share,
)
from toolwise.evaluation.benchmarks.calls import THINK_END
from toolwise.evaluation.benchmarks.output import Output

_VERDICT = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_NONE = re.compile(r"(?<!\w)none(?!\w)", re.IGNORECASE)


def metatool_awareness_benchmark() -> Benchmark:
    """Task 1: is a tool needed?"""
    return Benchmark("metatool-awareness", score_awareness, awareness_measures, tools="none")


def metatool_selection_benchmark() -> Benchmark:
    """Task 2: which of the listed tools? Accuracy is the paper's correct selection rate."""
    return Benchmark("metatool-selection", score_selection, accuracies, tools="none")


def score_awareness(task: Task, output: Output) -> ItemScore:
    """Compare the first ``yes`` or ``no`` with the answer; the part ``yes`` tells which it was."""
    found = _VERDICT.search(_said(output))
    if found is None:
        return ItemScore(False, {"yes": 0.0}, "no_verdict")
    said = found[1].lower()
    right = said == task.answer
    return ItemScore(right, {"yes": float(said == "yes")}, "" if right else f"said_{said}")


def awareness_measures(items: Sequence[ScoredItem]) -> list[Measure]:
    """Accuracy, and precision, recall and F1 of saying that a tool is needed."""
    needed = [item.task.answer == "yes" for item in items]
    said = [item.score.parts["yes"] > 0 for item in items]
    pairs = list(zip(needed, said, strict=True))
    both = [2.0 * (wanted and told) for wanted, told in pairs]
    either = [float(wanted) + float(told) for wanted, told in pairs]
    return [
        accuracy(items),
        share("precision", [wanted for wanted, told in pairs if told]),
        share("recall", [told for wanted, told in pairs if wanted]),
        ratio("F1", both, either, "%"),
    ]


def score_selection(task: Task, output: Output) -> ItemScore:
    """Compare the tools that the output names first with the right ones, as sets.

    Of the candidates named in the output the first counts, or the first two where two are asked for. Where no
    candidate is right, the output must say ``None`` before it names any.
    """
    right: Sequence[str] = task.answer
    if output.given_calls is not None:
        named = list(dict.fromkeys(call.name for call in output.given_calls))
        chosen = named if len(right) > 1 else named[:1]
    else:
        chosen = _named(_said(output), task.info["candidates"], max(1, len(right)))
    fits = set(chosen) == set(right)
    return ItemScore(fits, {}, "" if fits else "wrong_tool" if chosen else "no_tool")


def _named(text: str, candidates: Sequence[str], count: int) -> list[str]:
    places = []
    for candidate in candidates:
        found = re.search(rf"(?<!\w){re.escape(candidate)}(?!\w)", text)
        if found is not None:
            # At one place the longer name is meant.
            places.append((found.start(), -len(candidate), candidate))
    places.sort()
    nothing = _NONE.search(text)
    if nothing is not None and (not places or nothing.start() < places[0][0]):
        return []
    return [candidate for _, _, candidate in places[:count]]


def _said(output: Output) -> str:
    return output.text.rpartition(THINK_END)[2]
