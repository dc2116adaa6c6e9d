"""Reward: what a rollout was worth, and the protocol of the functions that say so."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from toolwise.core.errors import ToolwiseError
from toolwise.core.targets import blamed
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


def scorable(function: RewardFunction) -> Callable[[Task], None]:
    """The check with which a reward refuses tasks that it cannot score; one that refuses none otherwise."""
    check: Callable[[Task], None] = getattr(function, "check", lambda task: None)
    return check


def rewards_of(function: RewardFunction, task: Task, rollouts: Sequence[Rollout]) -> list[Reward]:
    """The rewards of one group, checked: a user's own function may do anything.

    Raises:
        ToolwiseError: The function raised something, or does not give one finite Reward for each rollout.
    """
    where = f"task '{task.id}'"
    with blamed("the reward function", where):
        found = function(task, rollouts)
    mend = "return one Reward for each rollout, in their order"
    if not isinstance(found, list | tuple) or not all(isinstance(reward, Reward) for reward in found):
        raise ToolwiseError("the reward function gave no list of Reward", where=where, mend=mend)
    if len(found) != len(rollouts):
        raise ToolwiseError(
            f"the reward function gave {len(found)} rewards for {len(rollouts)} rollouts",
            where=where,
            mend=mend,
        )
    for reward, rollout in zip(found, rollouts, strict=True):
        if not isinstance(reward.total, int | float) or not math.isfinite(reward.total):
            raise ToolwiseError(
                f"the reward of sample {rollout.sample} is {reward.total!r}",
                where=where,
                mend="give a finite number",
            )
    return list(found)
