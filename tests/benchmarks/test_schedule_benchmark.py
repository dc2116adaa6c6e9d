"""The computed schedule: conservation, bounds from below, and its last line."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks import schedule
from toolwise.systems.memory import model_size

COSTS = schedule.Costs(turns=2, turn=50, observation=20, prompt=30, longest=200, token_budget=500)


@pytest.fixture(scope="module")
def size():
    return model_size("qwen2.5-7b")


def test_parts_hold_all_tokens_and_a_prompt_each():
    rollouts = schedule.Rollouts.drawn(COSTS, 32, 8)
    parts = rollouts.pieces(COSTS)
    assert parts.sum() == rollouts.lengths.sum() + 32 * COSTS.observation + len(parts) * COSTS.prompt
    assert parts.max() <= COSTS.token_budget
    assert len(parts) >= 4


def test_one_rollout_takes_its_tokens_and_its_waits(size):
    lengths, waits = np.array([[10, 20]]), np.array([[3.0, 0.0]])
    alone = schedule.decode_seconds(COSTS, size, 1, 1)
    assert schedule.server_seconds(COSTS, size, 1, lengths, waits) == pytest.approx(30 * alone + 3)
    # A second rollout that is there only while the first one waits costs it nothing.
    both = schedule.server_seconds(
        COSTS, size, 1, np.array([[10, 20], [10, 1]]), np.array([[3.0, 0], [0.5, 0]])
    )
    shared = schedule.decode_seconds(COSTS, size, 1, 2)
    assert both == pytest.approx(10 * shared + 3 + 20 * alone)


def test_more_servers_never_take_longer_than_the_longest_rollout_allows(size):
    rollouts = schedule.Rollouts.drawn(COSTS, 32, 8)
    seconds = [schedule.sampling(COSTS, size, gpus, rollouts)[0] for gpus in (1, 4, 32)]
    alone = rollouts.lengths.sum(1) * schedule.decode_seconds(COSTS, size, 1, 1) + rollouts.waits.sum(1)
    assert seconds[0] > seconds[1] > seconds[2] == pytest.approx(alone.max())


def test_where_it_stops_scaling():
    assert schedule.stops_scaling([(8, 100.0), (16, 60.0), (32, 50.0), (64, 49.0)]) == 16
    assert schedule.stops_scaling([(8, 100.0), (16, 50.0)]) is None


def test_the_last_line_and_costs_of_ones_own(tmp_path, monkeypatch, capsys):
    (tmp_path / "costs.json").write_text(json.dumps({"wait": 1e4, "turns": 2}))
    words = ["schedule", "--model", "qwen2.5-7b", "--rollouts", "32", "--group", "8"]
    monkeypatch.setattr(sys, "argv", [*words, "--costs", str(tmp_path / "costs.json")])
    schedule.main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["benchmark"] == "schedule"
    sizes = result["figures"]["models"]["qwen2.5-7b"]["sizes"]
    assert sizes["8"]["bound_by"] == "long rollout"
    assert sizes["8"]["servers"] + sizes["8"]["learners"] == 8
