"""A finished run that is asked for more goes on, and equals one that was longer at once, or says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

SMALL = {
    "rl": ["rollout.tasks_per_step=2", "rollout.group_size=3", "rollout.limits.max_turn_tokens=6"],
    "sft": ["training.batch_size=3"],
}


def sets(*settings):
    return tuple(part for setting in settings for part in ("--set", setting))


@pytest.fixture
def train(command, model_folder, tasks_file, demonstrations_file):
    def run(stage: str, out: Path, *settings: str):
        file = {"rl": tasks_file, "sft": demonstrations_file}[stage]
        recipe = {"rl": "grpo", "sft": "sft"}[stage]
        arguments = ("train", stage, recipe, "--model", model_folder, "--tasks", file, "--out", out)
        return command(*arguments, *sets(*SMALL[stage], "learner.learning_rate=1e-3", *settings))

    return run


def written(out: Path):
    """Steps with what was learned in them, and the newest weights."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    newest = sorted((out / "checkpoints").iterdir())[-1]
    return [(line["step"], line["loss"], line["grad_norm"]) for line in lines], load_file(
        newest / "model.safetensors"
    )


CONSTANT = "learner.schedule=constant"


@pytest.mark.parametrize(
    "stage, short, long",
    [
        ("rl", ["training.steps=2"], ["training.steps=4"]),
        ("sft", [CONSTANT, "training.steps=2", "learner.warmup_share=0"], None),
        ("sft", [CONSTANT, "training.epochs=1", "learner.warmup_share=null"], None),
        ("sft", ["training.steps=2", "learner.total_steps=9", "learner.warmup_share=null"], None),
    ],
)
def test_a_longer_run_goes_on_and_equals_the_straight_one(tmp_path, train, stage, short, long):
    if long is None:
        long = [setting.replace("steps=2", "steps=5").replace("epochs=1", "epochs=2") for setting in short]
    assert train(stage, tmp_path / "straight", *long).exit_code == 0
    assert train(stage, tmp_path / "grown", *short).exit_code == 0
    before, _ = written(tmp_path / "grown")
    done = train(stage, tmp_path / "grown", *long)
    assert done.exit_code == 0, done.output
    lines, weights = written(tmp_path / "grown")
    straight_lines, straight_weights = written(tmp_path / "straight")
    assert len(lines) > len(before)
    assert lines == straight_lines
    assert all((weights[name] == value).all() for name, value in straight_weights.items())
    configs = [
        yaml.safe_load((tmp_path / name / "config.yaml").read_text()) for name in ("grown", "straight")
    ]
    assert configs[0] == configs[1]


def test_a_length_that_decides_the_rates_cannot_grow_and_says_why(tmp_path, train):
    out = tmp_path / "run"
    assert train("sft", out, "training.steps=2").exit_code == 0
    config = (out / "config.yaml").read_bytes()
    done = train("sft", out, "training.steps=4")
    assert done.exit_code == 2
    message = " ".join(done.stderr.split())
    assert "learner.schedule = cosine" in message
    assert "4 optimizer steps would have had other rates from the start than 2" in message
    assert f"--model {out} --out ANOTHER" in message
    assert (out / "config.yaml").read_bytes() == config

    other = tmp_path / "warm"
    warm = (CONSTANT, "learner.warmup_share=0.5")
    assert train("sft", other, "training.steps=2", *warm).exit_code == 0
    done = train("sft", other, "training.steps=4", *warm)
    assert done.exit_code == 2
    assert "learner.warmup_share = 0.5" in done.stderr


def test_a_run_does_not_become_shorter_and_nothing_else_may_change(tmp_path, train):
    out = tmp_path / "run"
    assert train("rl", out, "training.steps=2").exit_code == 0
    done = train("rl", out, "training.steps=1")
    assert done.exit_code == 2
    assert "begun with 2 optimizer steps, and 1 are fewer" in done.stderr
    done = train("rl", out, "training.steps=3", "rollout.temperature=0.5", "loss.clip_low=0.1")
    assert done.exit_code == 2
    assert "another configuration: loss.clip_low, rollout.temperature\n" in done.stderr
    # Passes over the rollouts of a step are no length.
    done = train("rl", out, "training.steps=2", "training.epochs=2")
    assert "another configuration: training.epochs\n" in done.stderr
    # How often something is written may.
    settings = ("training.steps=3", "training.checkpoint_every=1", "training.written_trees=0")
    assert train("rl", out, *settings).exit_code == 0
    assert [step for step, *_ in written(out)[0]] == [1, 2, 3]
    assert yaml.safe_load((out / "config.yaml").read_text())["training"]["checkpoint_every"] == 1


def test_a_broken_config_in_the_run_folder_is_named(tmp_path, train):
    (tmp_path / "config.yaml").write_text("training: [")
    done = train("rl", tmp_path, "training.steps=1")
    assert done.exit_code == 2
    assert f"{tmp_path / 'config.yaml'}: cannot be read" in " ".join(done.stderr.split())
