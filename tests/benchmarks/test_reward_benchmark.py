"""The reward's benchmark: its rollouts are what they are called, and its last line is its result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_rates_and_what_was_scored():
    command = [sys.executable, "-m", "benchmarks.reward", "--seconds", "0.01"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["benchmark"], result["goals"]) == ("reward", {"rollouts_per_second": 20000.0})
    figures = result["figures"]
    assert set(figures["by_matching"]) == {"published", "paper"}
    assert figures["rollouts_per_second"] == figures["by_matching"]["published"]["mixed"] > 0
    means = figures["mean_reward"]
    # Format 1 and correctness 3; one bad line leaves the format and the lowest correctness.
    assert (means["equal"], means["broken"]) == (4.0, -2.0)
    assert -2 < means["mixed"] < 4
    assert -2 < means["near"] < 4
