"""Tool overuse as SMART measures it: a run without tools joined with a run with tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolwise.core import ToolwiseError
from toolwise.evaluation.intervals import Interval, wilson
from toolwise.evaluation.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class JoinedOveruse:
    """Tool overuse rate O = α·β (SMART, arXiv 2502.11435).

    Attributes:
        questions: Number of questions in both runs.
        alpha: Share of questions solved without tools.
        beta: Among those, the share on which the policy, given tools, calls at least one; None if none was
            solved without tools.
        rate: O, the share of all questions that were solved without tools and yet called for with them.
        interval: Wilson's 95% interval of ``rate``.
    """

    questions: int
    alpha: float
    beta: float | None
    rate: float
    interval: Interval | None


def joined_overuse(without_tools: Sequence[Outcome], with_tools: Sequence[Outcome]) -> JoinedOveruse:
    """Join two runs over the same questions by task id and measure O = α·β.

    Args:
        without_tools: Outcomes of the policy with no tool on offer.
        with_tools: Outcomes of the policy with tools, over the same questions, in any order.

    Raises:
        ToolwiseError: A question stands twice in a run, or in one run only; or there are none.
    """
    alone = _by_task(without_tools, "the run without tools")
    armed = _by_task(with_tools, "the run with tools")
    if alone.keys() != armed.keys():
        unmatched = sorted(alone.keys() ^ armed.keys())
        raise ToolwiseError(
            f"{len(unmatched)} questions stand in one run only, for instance {unmatched[0]!r}",
            mend="evaluate both runs on the same tasks",
        )
    if not alone:
        raise ToolwiseError("the runs hold no questions", mend="evaluate at least one question")
    solved = [task_id for task_id, outcome in alone.items() if outcome.correct]
    called = sum(armed[task_id].calls > 0 for task_id in solved)
    return JoinedOveruse(
        questions=len(alone),
        alpha=len(solved) / len(alone),
        beta=called / len(solved) if solved else None,
        rate=called / len(alone),
        interval=wilson(called, len(alone)),
    )


def _by_task(outcomes: Sequence[Outcome], where: str) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome.task_id in found:
            raise ToolwiseError(
                f"question {outcome.task_id!r} stands twice",
                where=where,
                mend="give one outcome per question",
            )
        found[outcome.task_id] = outcome
    return found
