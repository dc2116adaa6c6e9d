"""The quickstart's benchmark: it measures a small run, and reads one that is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.quickstart import main

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks.quickstart", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=True)
    return done.stdout, json.loads(done.stdout.splitlines()[-1])


def test_a_small_run_is_measured_phase_by_phase(tmp_path):
    printed, result = run("--small", "--out", tmp_path / "run")
    figures = result["figures"]
    assert result["benchmark"] == "quickstart"
    assert result["goals"] == {"seconds_at_most": 600.0, "seconds_aim": 300.0}
    assert {"cores", "processor", "torch"} <= set(result["machine"])
    assert list(figures["phases"]) == ["base model", "SFT", "reinforcement", "evaluation", "report"]
    assert all(seconds > 0 for seconds in figures["phases"].values())
    assert 0.8 * figures["seconds"] < sum(figures["phases"].values()) < figures["seconds"]
    assert 0.1 < figures["peak_gib"] < 8
    assert {"sft", "grpo", "otc-grpo"} <= set(figures["stages"])
    assert figures["stages"]["grpo"]["sampled_tokens_per_second"] > 0
    assert figures["stages"]["sft"]["learned_tokens_per_second"] > 0
    assert "reinforcement" in printed
    assert (tmp_path / "run" / "results.json").is_file()


def test_a_run_that_is_there_is_read(tmp_path, monkeypatch, capsys):
    stage = tmp_path / "grpo"
    stage.mkdir()
    lines = [
        {"step": 1, "seconds_collect": 2.0, "seconds_learn": 1.0, "unique_tokens": 50},
        {"step": 2, "seconds_collect": 3.0, "seconds_learn": 1.0, "unique_tokens": 70},
        {"step": 3, "seconds_collect": 4.0, "sampled_tokens_per_second": 30.0},
    ]
    (stage / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(sys, "argv", ["quickstart", "--run", str(tmp_path)])
    main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["figures"]["stages"]["grpo"] == pytest.approx(
        {
            "steps": 3.0,
            "seconds_learn": 2.0,
            "seconds_collect": 9.0,
            "learned_tokens_per_second": 60.0,
            "sampled_tokens_per_second": 30.0,
        }
    )
