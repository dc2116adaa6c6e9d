"""The reward's benchmark: its rollouts are what they are called, and its last line is its result."""

from __future__ import annotations

import json
import sys

from benchmarks.reward import main


def test_rates_and_what_was_scored(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reward", "--seconds", "0.01"])
    main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["benchmark"], result["goals"]) == ("reward", {"rollouts_per_second": 20000.0})
    figures = result["figures"]
    assert set(figures["by_matching"]) == {"published", "paper"}
    assert figures["rollouts_per_second"] == figures["by_matching"]["published"]["mixed"] > 0
    means = figures["mean_reward"]
    # Format 1 and correctness 3; one bad line leaves the format and the lowest correctness.
    assert (means["equal"], means["broken"]) == (4.0, -2.0)
    assert -2 < means["mixed"] < 4
    assert -2 < means["near"] < 4
