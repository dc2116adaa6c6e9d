"""Ctrl-C on the command line: one line, exit code 130, and the same command goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path


def start(*arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "toolwise.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def steps(folder: Path) -> list[int]:
    path = folder / "metrics.jsonl"
    written = path.read_text().splitlines() if path.is_file() else []
    return [json.loads(line)["step"] for line in written if line.endswith("}")]


def test_ctrl_c_saves_and_the_same_command_goes_on(tmp_path, command, model_folder, tasks_file):
    run = tmp_path / "run"
    arguments = (
        *("train", "rl", "grpo", "--model", model_folder, "--tasks", tasks_file, "--out", run),
        *("--set", "training.steps=12", "--set", "training.checkpoint_every=1000"),
        *("--set", "rollout.tasks_per_step=2", "--set", "rollout.group_size=4"),
        *("--set", "rollout.limits.max_turn_tokens=24"),
    )
    process = start(*arguments)
    deadline = time.monotonic() + 600
    while len(steps(run)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    (message,) = err.strip().splitlines()
    assert "of 12 steps are safe" in message
    assert "same command again" in message
    finished = len(steps(run))
    assert 2 <= finished < 12
    assert [path.name for path in (run / "checkpoints").iterdir()] == [f"step_{finished:06d}"]

    done = command(*arguments)
    assert done.exit_code == 0, done.output
    assert steps(run) == list(range(1, 13))


def test_ctrl_c_before_anything_has_begun_is_one_line_too(monkeypatch, command, model_folder, tasks_file):
    import toolwise.systems.policy as policy

    def pressed(source):
        raise KeyboardInterrupt

    monkeypatch.setattr(policy, "load_model", pressed)
    done = command("rollout", "--model", model_folder, "--tasks", tasks_file)
    assert (done.exit_code, done.stderr) == (130, "stopped\n")
