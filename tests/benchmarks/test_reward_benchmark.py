"""The reward's benchmark: its rollouts are what they are called, and its last line is its result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.reward import GROUP, TASKS, groups
from toolwise.rewards import ToolRLReward

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("kind", "lowest", "highest"), [("equal", 4, 4), ("near", -2, 4), ("broken", -2, -2), ("mixed", -2, 4)]
)
def test_rollouts_are_what_they_are_called(kind, lowest, highest):
    reward = ToolRLReward()
    totals = [found.total for task, rollouts in groups(kind, 0) for found in reward(task, rollouts)]
    assert len(totals) == TASKS * GROUP
    assert min(totals) == lowest
    assert max(totals) == highest
    between = sum(-2 < total < 4 for total in totals)
    assert (between > 0) == (kind in ("near", "mixed"))


def test_the_last_line_is_the_result():
    command = [sys.executable, "-m", "benchmarks.reward", "--seconds", "0.01"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["benchmark"], result["goals"]) == ("reward", {"rollouts_per_second": 20000.0})
    figures = result["figures"]
    assert set(figures["by_matching"]) == {"published", "paper"}
    assert figures["rollouts_per_second"] == figures["by_matching"]["published"]["mixed"] > 0
