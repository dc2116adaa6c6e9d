"""Reward: what a rollout was worth, and the protocol of the functions that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from toolwise.core.task import Task
from toolwise.core.tree import Rollout


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of one rollout.

    Attributes:
        total: What the advantage estimator sees by default.
        parts: Named components (``correct``, ``format``, ``tool`` …); logged, and usable as a source.
        turns: Optionally one value per assistant turn of the rollout, in order; empty if there is none.
        tokens: Optionally one value per token of the rollout, shape (L,); empty if there is none.
    """

    total: float
    parts: Mapping[str, float] = field(default_factory=dict)
    turns: tuple[float, ...] = ()
    tokens: tuple[float, ...] = ()


@runtime_checkable
class RewardFunction(Protocol):
    """Scores all rollouts of one group; it sees the whole group because some rewards need it.

    A function may also have ``begin_step(step: int)``, called before the groups of a training step are
    scored (for schedules), ``state_dict()`` / ``load_state_dict(state)`` (JSON-able, checkpointed), and
    ``check(task)``, which raises ToolwiseError for a task that it cannot score (called before a run begins).
    It makes no model call and no I/O.
    """

    def __call__(self, task: Task, rollouts: Sequence[Rollout]) -> list[Reward]:
        """One Reward per rollout, in their order."""
        ...
