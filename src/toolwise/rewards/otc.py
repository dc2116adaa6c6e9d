"""OTC: correctness times a coefficient for calling tools no more than needed (arXiv 2504.14870, §3)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from toolwise.core import Reward, RewardFunction, Rollout, Task, scorable
from toolwise.rewards.answers import well_formed
from toolwise.rewards.minimum_calls import MinimumCalls

UnknownMinimum = Literal["one", "cosine", "zero"]


def cosine_coefficient(calls: int, smoothing: float) -> float:
    """cos(mπ / (2m + c)): 1 without calls, falling towards 0; OTC-PPO, and OTC-GRPO where n = 0.

    Args:
        calls: m, ≥ 0.
        smoothing: c, > 0; the paper takes the largest allowed number of calls.
    """
    return math.cos(calls * math.pi / (2 * calls + smoothing))


def effective_calls(calls: int, minimum: int) -> float:
    """f(m, n): 0 if m = n = 0; m if n = 0; else 2nm / (m + n)."""
    if minimum == 0:
        return float(calls)
    return 2 * minimum * calls / (calls + minimum)


def tool_coefficient(calls: int, minimum: int, smoothing: float) -> float:
    """OTC-GRPO's coefficient, in [0, 1]: 1 at m = n, 0 at m = 0 < n, towards 0 as m grows.

    1 if m = n = 0; the cosine if n = 0; else sin(f(m, n)·π / 2n), which is sin(π·m / (m + n)).

    Args:
        calls: m, tool calls of the rollout, ≥ 0.
        minimum: n, least number of calls that is known to suffice, ≥ 0.
        smoothing: c, > 0.
    """
    if minimum == 0:
        return cosine_coefficient(calls, smoothing)
    return math.sin(effective_calls(calls, minimum) * math.pi / (2 * minimum))


def count_calls(rollout: Rollout, include_unrun: bool) -> int:
    """m: the tool calls of a rollout.

    Args:
        rollout: The rollout.
        include_unrun: Whether the calls of a last turn, which no tool answered because the rollout was
            cut there, count.
    """
    if include_unrun or rollout.turns[-1].role != "assistant":
        return rollout.calls
    return rollout.calls - len(rollout.turns[-1].calls)


def otc_metrics(correct: Iterable[float], calls: Iterable[int]) -> dict[str, float | None]:
    """EM (mean correctness), TC (mean calls) and TP = Σ correct / Σ calls, None if no call was made."""
    correct, calls = list(correct), list(calls)
    total = sum(calls)
    return {
        "EM": sum(correct) / len(correct),
        "TC": total / len(calls),
        "TP": sum(correct) / total if total else None,
    }


class OTCReward:
    """α · coefficient · (correctness + weighted format), with the running minimum n of each task.

    n is the least number of calls among correct rollouts of the task: those of this group, and those of
    all groups seen before. It is keyed by the task's id and is part of the state.

    Args:
        correctness: Gives r_correct, as its part ``correct`` if it has one, else as its total.
        alpha: Scale.
        smoothing: c of the coefficient, > 0; take the largest allowed number of calls.
        form: ``grpo`` uses n; ``ppo`` is the cosine alone.
        minimum: ``running`` carries n over groups; ``group`` forgets it.
        update_first: Whether a group lowers n before it is scored itself, or only afterwards.
        unknown: Coefficient where no n is known: 1, the cosine, or 0. It matters only with a format part,
            as the rewards are 0 otherwise.
        format_weight: Weight of r_format in r_correct + r_format.
        include_unrun: See `count_calls`.
        correct_at: A rollout counts as correct from this r_correct on.
    """

    def __init__(
        self,
        correctness: RewardFunction,
        *,
        alpha: float = 1.0,
        smoothing: float = 4.0,
        form: Literal["grpo", "ppo"] = "grpo",
        minimum: Literal["running", "group"] = "running",
        update_first: bool = True,
        unknown: UnknownMinimum = "one",
        format_weight: float = 0.0,
        include_unrun: bool = True,
        correct_at: float = 1.0,
    ) -> None:
        self.correctness = correctness
        self.alpha, self.smoothing, self.form = alpha, smoothing, form
        self.minimum, self.update_first, self.unknown = minimum, update_first, unknown
        self.format_weight, self.include_unrun, self.correct_at = format_weight, include_unrun, correct_at
        self._known = MinimumCalls()

    def check(self, task: Task) -> None:
        """Let the correctness reward refuse a task that it cannot score."""
        scorable(self.correctness)(task)

    def __call__(self, task: Task, rollouts: Sequence[Rollout]) -> list[Reward]:
        """Rewards of one group, with the parts ``correct``, ``tool``, ``calls`` and ``format``."""
        judged = self.correctness(task, rollouts)
        correct = [reward.parts.get("correct", reward.total) for reward in judged]
        calls = [count_calls(rollout, self.include_unrun) for rollout in rollouts]
        enough = [m for m, right in zip(calls, correct, strict=True) if right >= self.correct_at]
        if self.minimum == "group" or self.form == "ppo":
            scored_with = min(enough, default=None)
        else:
            before = self._known.get(task.id)
            after = self._known.lower(task.id, enough)
            scored_with = after if self.update_first else before
        rewards = []
        for rollout, right, m in zip(rollouts, correct, calls, strict=True):
            tool = self._coefficient(m, scored_with)
            formatted = float(well_formed(rollout))
            total = self.alpha * tool * (right + self.format_weight * formatted)
            parts = {"correct": right, "tool": tool, "calls": float(m), "format": formatted}
            rewards.append(Reward(total, parts))
        return rewards

    def _coefficient(self, calls: int, minimum: int | None) -> float:
        if self.form == "ppo":
            return cosine_coefficient(calls, self.smoothing)
        if minimum is not None:
            return tool_coefficient(calls, minimum, self.smoothing)
        if self.unknown == "cosine":
            return cosine_coefficient(calls, self.smoothing)
        return 1.0 if self.unknown == "one" else 0.0

    def begin_step(self, step: int) -> None:
        """Pass the step on to the correctness reward, if it has a schedule."""
        begin = getattr(self.correctness, "begin_step", None)
        if begin is not None:
            begin(step)

    def state_dict(self) -> dict[str, Any]:
        """The running minima, and the state of the correctness reward if it has one."""
        state: dict[str, Any] = {"minima": self._known.state_dict()}
        inner = getattr(self.correctness, "state_dict", None)
        return state if inner is None else state | {"correctness": inner()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self._known.load_state_dict(state["minima"])
        inner = getattr(self.correctness, "load_state_dict", None)
        if inner is not None and "correctness" in state:
            inner(state["correctness"])
