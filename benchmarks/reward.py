"""ToolRL's reward: scored rollouts a second on one core.

``python -m benchmarks.reward [--seconds S]`` scores made-up groups of four rollouts, of typical lengths, by
the same reward function that training calls; the kinds of rollouts are timed apart and together.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from statistics import fmean

from benchmarks.report import finish, table
from toolwise.core import Rollout, StopReason, Task, Turn
from toolwise.rewards import ToolRLReward, ToolRLSettings

GOALS = {"rollouts_per_second": 20_000.0}
KINDS = ("equal", "near", "broken", "mixed")
TASKS, GROUP, THOUGHT_WORDS = 64, 4, 60
VARIANTS = {"published": ToolRLSettings(), "paper": ToolRLSettings(matching="paper")}


def _turn(calls: Sequence[dict[str, object]], words: int, rng: random.Random) -> str:
    thought = " ".join(rng.choices(["the", "user", "asks", "for", "a", "tool", "that", "gives"], k=words))
    lines = "\n".join(json.dumps(call) for call in calls)
    return f"<think> {thought} </think>\n<tool_call>\n{lines}\n</tool_call>"


def _calls(count: int, rng: random.Random) -> list[dict[str, object]]:
    names = ("city", "start_date", "limit", "include_details")
    return [
        {
            "name": f"find_place_{rng.randrange(3)}",
            "parameters": {k: f"value {rng.randrange(9)}" for k in names[:3]},
        }
        for _ in range(count)
    ]


def groups(kind: str, seed: int) -> list[tuple[Task, list[Rollout]]]:
    """Tasks with their rollouts: ``equal`` to the reference, ``near`` it, ``broken``, or ``mixed``.

    References have one call in three of six tasks, two in two and three in one, as in the published data.
    """
    rng = random.Random(seed)
    made = []
    for number in range(TASKS):
        expected = _calls((1, 1, 1, 2, 2, 3)[number % 6], rng)
        task = Task(f"t{number}", ({"role": "user", "content": "?"},), answer=_turn(expected, 15, rng))
        rollouts = []
        for sample in range(GROUP):
            how = kind if kind != "mixed" else ("equal", "near", "near", "broken")[sample]
            calls = expected if how == "equal" else _calls(len(expected) + rng.randrange(2), rng)
            text = _turn(calls, THOUGHT_WORDS, rng)
            text = text.replace('"parameters"', "parameters", 1) if how == "broken" else text
            turns = (Turn("prompt", ()), Turn("assistant", (), text + "<|im_end|>", content=text))
            rollouts.append(Rollout(task, turns, (0, 1), sample, task.id, StopReason.ANSWERED))
        made.append((task, rollouts))
    return made


def rate(reward: ToolRLReward, material: Sequence[tuple[Task, list[Rollout]]], seconds: float) -> float:
    """Scored rollouts a second of processor time, over at least so many seconds."""
    scored, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < seconds:
        for task, rollouts in material:
            reward(task, rollouts)
        scored += TASKS * GROUP
    return scored / spent


def main() -> None:
    """Measure, print the table, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="processor time of each figure (default 2)"
    )
    given = parser.parse_args()
    material = {kind: groups(kind, 0) for kind in KINDS}
    rows = []
    for name, settings in VARIANTS.items():
        reward = ToolRLReward(settings)
        rows.append((name, {kind: rate(reward, made, given.seconds) for kind, made in material.items()}))
    means = {
        kind: fmean(found.total for task, rollouts in made for found in ToolRLReward()(task, rollouts))
        for kind, made in material.items()
    }
    table("rollouts a second, by matching", KINDS, [*rows, ("mean reward", means)])
    figures = {
        "rollouts_per_second": rows[0][1]["mixed"],
        "by_matching": dict(rows),
        "mean_reward": means,
    }
    finish("reward", figures, GOALS)


if __name__ == "__main__":
    main()
