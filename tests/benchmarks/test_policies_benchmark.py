"""The comparison of four policies: what it measures, and a small run of two of them."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def policies(monkeypatch):
    """The benchmark as a module; benchmarks are no part of the package."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.policies")


def write(run: Path, policy: str, rows) -> None:
    """Evaluated rollouts: (needs a tool, right, calls) of each question."""
    folder = run / policy / "rollouts"
    folder.mkdir(parents=True)
    lines = []
    for number, (needed, right, calls) in enumerate(rows):
        info = {"domain": "math", "kind": "sum", "level": "type", "needs_tool": needed}
        turns = [{"role": "prompt", "calls": []}]
        turns += [{"role": "assistant", "calls": [{}]}, {"role": "tool", "calls": []}] * calls
        record = {
            "task_id": str(number),
            "info": info,
            "parts": {"correct": float(right)},
            "turns": [*turns, {"role": "assistant", "calls": []}],
        }
        lines.append(json.dumps(record) + "\n")
    (folder / "eval.jsonl").write_text("".join(lines))


def test_what_is_measured_and_compared(tmp_path, policies):
    write(tmp_path, "ppo", [(False, True, 1), (False, True, 2), (False, False, 2), (True, True, 1)])
    write(tmp_path, "otc-ppo", [(False, True, 0), (False, True, 1), (False, False, 0), (True, False, 2)])
    ppo, otc = policies.read_outcomes(tmp_path, "ppo"), policies.read_outcomes(tmp_path, "otc-ppo")
    figures = policies.measured(ppo)
    assert (figures["EM"], figures["TC"], figures["TP"]) == (0.75, 1.5, 0.5)
    assert figures["calls_within"] == pytest.approx(5 / 3)
    assert figures["calls_beyond"] == 1
    low, high = figures["intervals"]["TC"]
    assert low < 1.5 < high
    found = policies.compared(otc, ppo)
    assert found["fewer_calls_within"] == pytest.approx(0.8)
    assert found["accuracy_lost"] == pytest.approx(0.25)
    low, high = found["interval"]
    assert low <= 0.8 <= high
    assert policies.compared(ppo, otc)["fewer_calls_within"] == pytest.approx(-4)
    assert policies.compared(otc[-1:], ppo[-1:])["fewer_calls_within"] is None


def test_a_small_run_trains_from_one_cold_start_and_ends_with_a_line_of_json(tmp_path):
    command = [sys.executable, "-m", "benchmarks.policies", "--small", "--only", "ppo", "otc-ppo"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["benchmark"] == "policies"
    assert result["goals"] == {"fewer_calls_within_at_least": 0.6, "accuracy_lost_at_most": 0.03}
    assert list(result["figures"]["policies"]["0"]) == ["sft", "ppo", "otc-ppo"]
    assert list(result["figures"]["pairs"]["0"]) == ["otc-ppo against ppo"]
    run = tmp_path / "seed-0"
    lines = [json.loads(line) for line in (run / "otc-ppo" / "metrics.jsonl").read_text().splitlines()]
    assert [line["rollouts"] for line in lines] == [16, 16]
    assert "value_loss" in lines[0]
    (checkpoint,) = (run / "otc-ppo" / "checkpoints").iterdir()
    assert (checkpoint / "critic" / "model.safetensors").is_file()
