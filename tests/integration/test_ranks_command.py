"""``torchrun … -m toolwise train``: two processes do what one does, say it once, and go on from one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

ROUNDS = (
    *("rollout.tasks_per_step=3", "rollout.group_size=3", "rollout.limits.max_turn_tokens=6"),
    *("learner.learning_rate=1e-3", "learner.token_budget=400", "loss.kl.coefficient=0.01"),
    *("training.checkpoint_every=2", "training.validate_every=2", "validation.share=0.3"),
)


def launched(*arguments) -> subprocess.CompletedProcess:
    command = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    return subprocess.run(
        [*command, "-m", "toolwise", *(str(argument) for argument in arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )


def lines(out):
    found = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    left_out = ("second", "padding")
    return [{k: v for k, v in line.items() if not any(word in k for word in left_out)} for line in found]


def test_a_run_on_two_ranks_goes_on_from_one_and_is_the_same(tmp_path, command, model_folder, tasks_file):
    def arguments(out, steps, *settings):
        named = (*ROUNDS, f"training.steps={steps}", *settings)
        sets = [part for setting in named for part in ("--set", setting)]
        return ("train", "rl", "grpo", "--model", model_folder, "--tasks", tasks_file, "--out", out, *sets)

    done = command(*arguments(tmp_path / "one", 4))
    assert done.exit_code == 0, done.output
    assert command(*arguments(tmp_path / "two", 2)).exit_code == 0
    pair = launched(*arguments(tmp_path / "two", 4, "distributed.strategy=fsdp2"))
    assert pair.returncode == 0, pair.stderr[-3000:]
    assert pair.stdout.count("4/4") == 1, "one rank speaks"
    assert "2 ranks" in pair.stdout
    mine, theirs = lines(tmp_path / "two"), lines(tmp_path / "one")
    assert [line["step"] for line in mine] == [1, 2, 3, 4]
    for line, wanted in zip(mine, theirs, strict=True):
        assert line == pytest.approx(wanted, abs=1e-5, rel=1e-4)
    # What both cannot do, one says.
    refused = launched(*arguments(tmp_path / "two", 4, "learner.grad_clip=2.0"))
    assert refused.returncode != 0
    assert refused.stderr.count("another configuration: learner.grad_clip") == 1
