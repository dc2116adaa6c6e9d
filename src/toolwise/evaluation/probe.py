"""The knowledge-boundary probe: what a policy knows, told by what it answers without tools.

For a real model nobody has said which questions need a tool. Ask each one k times with no tool on offer: the
share of right answers tells whether it lies within the policy's knowledge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from toolwise.core import Task, ToolwiseError
from toolwise.evaluation.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the probe found out about one question.

    Attributes:
        task_id: The question.
        samples: How often it was asked, ≥ 1.
        correct: How many of the answers were right.
        known: Whether ``share`` reaches the threshold.
    """

    task_id: str
    samples: int
    correct: int
    known: bool

    @property
    def share(self) -> float:
        """Share of right answers, in [0, 1]."""
        return self.correct / self.samples


def label_knowledge(outcomes: Sequence[Outcome], threshold: float = 0.5) -> dict[str, Knowledge]:
    """Label questions known or unknown from samples drawn without tools.

    A sample that wrote a tool call although none was on offer did not answer from memory and counts as wrong.

    Args:
        outcomes: k ≥ 1 per question, in any order.
        threshold: Share of right answers from which a question counts as known, in (0, 1].

    Returns:
        One label per question, by task id, in order of first appearance.

    Raises:
        ToolwiseError: The threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise ToolwiseError(
            f"threshold is {threshold}", where="probe", mend="give a share above 0 and up to 1"
        )
    hits: dict[str, list[bool]] = {}
    for outcome in outcomes:
        hits.setdefault(outcome.task_id, []).append(outcome.correct and outcome.calls == 0)
    return {
        task_id: Knowledge(task_id, len(flags), sum(flags), sum(flags) / len(flags) >= threshold)
        for task_id, flags in hits.items()
    }


async def probe(
    tasks: Sequence[Task],
    answer: Callable[[Task, int], Awaitable[Outcome]],
    samples: int = 8,
    threshold: float = 0.5,
) -> dict[str, Knowledge]:
    """Ask every task `samples` times without tools and label it.

    Args:
        tasks: What to ask; each is passed on with its tools taken away.
        answer: Draws one sample: ``(task, sample number) -> Outcome``. All are started at once; a limit on
            how many run together is the sampler's business.
        samples: k, ≥ 1.
        threshold: See `label_knowledge`.

    Raises:
        ToolwiseError: `samples` or `threshold` is out of range.
    """
    if samples < 1:
        raise ToolwiseError(f"samples is {samples}", where="probe", mend="ask each question at least once")
    bare = [replace(task, tools=()) for task in tasks]
    drawn = await asyncio.gather(*(answer(task, sample) for task in bare for sample in range(samples)))
    return label_knowledge(drawn, threshold)


def mark_boundary(tasks: Sequence[Task], knowledge: Mapping[str, Knowledge]) -> list[Task]:
    """Write ``needs_tool`` and ``known_share`` into ``info``; tasks that were not probed stay as they are."""
    return [
        replace(task, info={**task.info, "needs_tool": not found.known, "known_share": found.share})
        if (found := knowledge.get(task.id))
        else task
        for task in tasks
    ]
