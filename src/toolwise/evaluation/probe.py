"""The knowledge-boundary probe: what a policy knows, told by what it answers without tools.

For a real model nobody has said which questions need a tool. Ask each one k times with no tool on offer: the
share of right answers tells whether it lies within the policy's knowledge, beyond it, or between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from toolwise.core import Task, ToolwiseError
from toolwise.evaluation.outcomes import Outcome

SAMPLES = 8
TEMPERATURE = 0.7
"""Warm enough that a guess differs from sample to sample, cool enough that what is known is said."""
KNOWN_FROM = 0.75
UNKNOWN_UP_TO = 0.25
F1_CORRECT_FROM = 0.5
"""Token F1 from which a sample counts as right, where F1 is the judge; other judges must say 1."""


class KnowledgeLabel(StrEnum):
    """Where a question lies."""

    KNOWN = "known"
    UNCERTAIN = "uncertain"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From share of right answers to label.

    Attributes:
        known_from: A question is known if the share is at least this, in (0, 1].
        unknown_up_to: Else it is unknown if the share is at most this, in [0, known_from]; else uncertain.
            Equal thresholds leave nothing uncertain.

    Raises:
        ToolwiseError: One is out of range.
    """

    known_from: float = KNOWN_FROM
    unknown_up_to: float = UNKNOWN_UP_TO

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 < self.known_from <= 1:
            raise ToolwiseError(
                f"known_from is {self.known_from}", where="probe", mend="give a share above 0 and up to 1"
            )
        if not 0 <= self.unknown_up_to <= self.known_from:
            raise ToolwiseError(
                f"unknown_up_to is {self.unknown_up_to}",
                where="probe",
                mend=f"give a share from 0 to known_from ({self.known_from})",
            )

    def label(self, share: float) -> KnowledgeLabel:
        """The label of a share of right answers."""
        if share >= self.known_from:
            return KnowledgeLabel.KNOWN
        return KnowledgeLabel.UNKNOWN if share <= self.unknown_up_to else KnowledgeLabel.UNCERTAIN


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the probe found out about one question.

    Attributes:
        task_id: The question.
        samples: How often it was asked, ≥ 1.
        correct: How many of the answers were right.
        label: Known, unknown or uncertain.
    """

    task_id: str
    samples: int
    correct: int
    label: KnowledgeLabel

    @property
    def share(self) -> float:
        """Share of right answers, in [0, 1]."""
        return self.correct / self.samples


def label_knowledge(
    outcomes: Sequence[Outcome], thresholds: Thresholds | None = None
) -> dict[str, Knowledge]:
    """Label questions from samples drawn without tools.

    A sample that wrote a tool call although none was on offer did not answer from memory and counts as wrong.

    Args:
        outcomes: k ≥ 1 per question, in any order.
        thresholds: None takes the defaults.

    Returns:
        One label per question, by task id, in order of first appearance.
    """
    limits = thresholds or Thresholds()
    hits: dict[str, list[bool]] = {}
    for outcome in outcomes:
        hits.setdefault(outcome.task_id, []).append(outcome.correct and outcome.calls == 0)
    return {
        task_id: Knowledge(task_id, len(flags), sum(flags), limits.label(sum(flags) / len(flags)))
        for task_id, flags in hits.items()
    }


def mark_boundary(tasks: Sequence[Task], knowledge: Mapping[str, Knowledge]) -> list[Task]:
    """Write what was found into ``info``; tasks that were not probed stay as they are.

    ``needs_tool`` is false for known and true for unknown questions; an uncertain one has none, and so counts
    towards no measure of the boundary. ``known_share`` is the share of right answers, ``knowledge`` the
    label.
    """
    return [_marked(task, knowledge[task.id]) if task.id in knowledge else task for task in tasks]


def _marked(task: Task, found: Knowledge) -> Task:
    info = {key: value for key, value in task.info.items() if key != "needs_tool"}
    if found.label is not KnowledgeLabel.UNCERTAIN:
        info["needs_tool"] = found.label is KnowledgeLabel.UNKNOWN
    return replace(task, info=info | {"known_share": found.share, "knowledge": str(found.label)})
