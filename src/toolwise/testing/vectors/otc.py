"""Vectors of OTC: coefficient, reward, running minimum and metrics, computed from the paper’s equations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolwise.core import Reward, Rollout, StopReason, Task, ToolCall, Turn
from toolwise.rewards.otc import OTCReward, cosine_coefficient, effective_calls, otc_metrics, tool_coefficient
from toolwise.testing.vectors.comparison import Check, check, difference, read_lines

TOLERANCE = 1e-9
Row = Mapping[str, Any]


def rollout_with_calls(task: Task, calls: int, sample: int = 0, answer: str | None = "yes") -> Rollout:
    """A rollout of three turns that made `calls` tool calls and then gave `answer`.

    Args:
        task: Its problem.
        calls: Number of calls, ≥ 0.
        sample: Its number.
        answer: Its final answer, None if it gave none.
    """
    turns = (
        Turn("prompt", ()),
        Turn("assistant", (), calls=(ToolCall("search"),) * calls),
        Turn("tool", ()),
        Turn("assistant", (), answer=answer),
    )
    stop = StopReason.MAX_TURNS if answer is None else StopReason.ANSWERED
    return Rollout(task, turns, (0, 1, 2, 3), sample, task.id, stop)


class Given:
    """A correctness reward whose values are set from outside, one for each rollout."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = values

    def __call__(self, task: Task, rollouts: Sequence[Rollout]) -> list[Reward]:
        """See `RewardFunction`."""
        return [Reward(value) for value in self.values]


def _task() -> Task:
    return Task("q", ({"role": "user", "content": "?"},))


def _ppo(row: Row) -> str:
    return difference(cosine_coefficient(row["m"], row["c"]), row["r_tool"], TOLERANCE)


def _grpo(row: Row) -> str:
    ours = {
        "f": effective_calls(row["m"], row["n"]),
        "r_tool": tool_coefficient(row["m"], row["n"], row["c"]),
    }
    return difference(ours, {"f": row["f"], "r_tool": row["r_tool"]}, TOLERANCE)


def _final(row: Row) -> str:
    weight = 0.0 if row["r_format"] is None else row["r_format"]
    # The rollouts are well formed, so that the format part is the weight itself.
    reward = OTCReward(
        Given([row["r_correct"]]),
        alpha=row["alpha"],
        smoothing=row["c"],
        form=row["algo"],
        format_weight=weight,
        # n is given, not found: what is correct here must not lower it.
        correct_at=float("inf"),
    )
    if row["n"] is not None:
        reward.load_state_dict({"minima": {"q": row["n"]}})
    task = _task()
    (found,) = reward(task, [rollout_with_calls(task, row["m"])])
    expected = {"reward": row["reward"]}
    if row["r_tool"] is not None:  # None: the paper defines none
        expected["r_tool"] = row["r_tool"]
    return difference({"r_tool": found.parts["tool"], "reward": found.total}, expected, TOLERANCE)


def _group(row: Row) -> str:
    task = _task()
    reward = OTCReward(
        Given([float(one["correct"]) for one in row["rollouts"]]), alpha=row["alpha"], smoothing=row["c"]
    )
    if row["history_n"] is not None:
        reward.load_state_dict({"minima": {"q": row["history_n"]}})
    found = reward(task, [rollout_with_calls(task, one["m"]) for one in row["rollouts"]])
    wrong = difference(reward.state_dict()["minima"].get("q"), row["n"], TOLERANCE)
    if wrong:
        return f"n: {wrong}"
    for number, (ours, one) in enumerate(zip(found, row["rollouts"], strict=True)):
        expected = {"total": one["reward_correct_only"]}
        if one["r_tool"] is not None:  # None: the paper defines none
            expected["tool"] = one["r_tool"]
        wrong = difference({"total": ours.total, "tool": ours.parts["tool"]}, expected, TOLERANCE)
        if wrong:
            return f"rollout {number}: {wrong}"
    return ""


def _metrics(row: Row) -> str:
    items = row["items"]
    ours = otc_metrics([one["correct"] for one in items], [one["tool_calls"] for one in items])
    return difference(ours, {key: row[key] for key in ("EM", "TC", "TP")}, TOLERANCE)


KINDS: Mapping[str, Callable[[Row], str]] = {
    "ppo_tool_reward": _ppo,
    "grpo_tool_reward": _grpo,
    "final_reward": _final,
    "grpo_group": _group,
    "metrics": _metrics,
}


def checks(path: Path) -> Iterator[Check]:
    """Compare ``otc_vectors.jsonl``."""
    for row in read_lines(path):
        kind = str(row.get("kind"))
        if kind in KINDS:
            yield check(row["id"], KINDS[kind], row)
        else:
            yield Check(str(row.get("id")), f"kind {kind!r} is not known")
