"""SMART's metrics (arXiv 2502.11435), with the published denominators and with mended ones.

The published programs drop what their judge fails on, and ask coverage only of runs that asked something. So
a model that fails more, or asks less, is measured on fewer questions. With mended denominators every question
counts, and a failed judgement counts as a no.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from toolwise.core import ToolwiseError
from toolwise.evaluation.outcomes import Outcome

Denominators = Literal["published", "mended"]
Judged = bool | None
"""What a judge said; None: it failed, or said neither of the two words."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share with what it is of.

    Attributes:
        value: In [0, 1]; None if nothing counts.
        counted: Questions in the denominator.
        dropped: Questions left out of it because a judgement failed.
    """

    value: float | None
    counted: int
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Intention:
    """What a run on a vague task came to.

    Attributes:
        details: For each missing detail its importance (1 to 3), and whether one of the run's questions to
            the user covers it.
        respected: For each answer that the user gave, whether the final response respects it.
        finished: Whether there is a final response.
    """

    details: tuple[tuple[int, Judged], ...]
    respected: tuple[Judged, ...]
    finished: bool = True


def same_math(answer: str, reference: str) -> bool:
    """Equal after lower-casing, without line breaks: what SMART's judge of math is not asked about."""
    return _flat(answer) == _flat(reference)


def accuracy(verdicts: Sequence[Judged], denominators: Denominators = "mended") -> Share:
    """Share of right answers.

    Args:
        verdicts: One a question.
        denominators: ``published`` leaves out the questions whose judgement failed.
    """
    said = [verdict for verdict in verdicts if verdict is not None]
    if denominators == "published":
        return _share(sum(said), len(said), len(verdicts) - len(said))
    return _share(sum(said), len(verdicts))


def missing_details_recovery(
    runs: Sequence[Intention], level: int, denominators: Denominators = "mended"
) -> Share:
    """Share of a task's missing details of one importance that the run asked for, averaged over tasks.

    A task without such a detail does not count; a run that asked nothing recovers nothing.

    Args:
        runs: One a task.
        level: 3 (most important) to 1.
        denominators: ``published`` drops a task if any judgement of it failed, of whatever level.
    """
    kept = [run for run in runs if denominators == "mended" or not _failed(run)]
    rates = [sum(found) / len(found) for run in kept if (found := _recovered(run, level))]
    return _share(sum(rates), len(rates), len(runs) - len(kept))


def intention_coverage(runs: Sequence[Intention], denominators: Denominators = "mended") -> Share:
    """Share of the user's answers that the final response respects, averaged over tasks.

    A run without a final response respects none.

    Args:
        runs: One a task.
        denominators: ``published`` counts only runs that asked something, and drops those with a failed
            judgement; ``mended`` counts a run that asked nothing, though something was missing, as 0.
    """
    if denominators == "published":
        kept = [run for run in runs if not _failed(run)]
        counted = [run for run in kept if run.respected]
    else:
        kept = list(runs)
        counted = [run for run in runs if run.respected or run.details]
    rates = [
        sum(answer is True for answer in run.respected) / len(run.respected)
        if run.finished and run.respected
        else 0.0
        for run in counted
    ]
    return _share(sum(rates), len(rates), len(runs) - len(kept))


def tools_used(outcomes: Sequence[Outcome]) -> float:
    """Mean tool calls of a question, those that failed included.

    Raises:
        ToolwiseError: There are no outcomes.
    """
    if not outcomes:
        raise ToolwiseError("there is nothing to measure", mend="evaluate at least one question")
    return sum(outcome.calls for outcome in outcomes) / len(outcomes)


def underuse(outcomes: Sequence[Outcome]) -> Share:
    """Tool underuse rate (appendix): share of questions on which no tool is called though one is expected.

    The denominator is all questions of which it is known whether a tool is needed, as with O = α·β;
    `Summary.underuse` is the share among those that need one.
    """
    known = [outcome for outcome in outcomes if outcome.needs_tool is not None]
    missed = sum(outcome.needs_tool is True and outcome.calls == 0 for outcome in known)
    return _share(missed, len(known))


def macro_decrease(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Unweighted mean over cells (model × domain) of (before − after) / before.

    It gives the paper's 24 % of tool calls saved, before being the tool-prompt baseline.

    Raises:
        ToolwiseError: The cells differ, there are none, or one is 0 before.
    """
    return -macro_increase(before, after)


def macro_increase(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Unweighted mean over cells of (after − before) / before.

    It gives the paper's 37.1 % of performance gained, before being the best baseline of each cell.

    Raises:
        ToolwiseError: The cells differ, there are none, or one is 0 before.
    """
    if before.keys() != after.keys() or not before:
        raise ToolwiseError(
            f"the cells differ: {sorted(before)} and {sorted(after)}",
            mend="measure both on the same models and domains",
        )
    for cell, value in before.items():
        if not value:
            raise ToolwiseError(
                f"cell '{cell}' is 0 before, so no relative change is defined", mend="leave it out"
            )
    return sum((after[cell] - before[cell]) / before[cell] for cell in before) / len(before)


def _recovered(run: Intention, level: int) -> list[bool]:
    # Who asked nothing recovers nothing, whatever a judge says.
    asked = bool(run.respected)
    return [asked and judged is True for importance, judged in run.details if importance == level]


def _failed(run: Intention) -> bool:
    return any(judged is None for _, judged in run.details) or None in run.respected


def _share(hits: float, total: int, dropped: int = 0) -> Share:
    return Share(hits / total if total else None, total, dropped)


def _flat(text: str) -> str:
    return text.lower().replace("\n", "")
