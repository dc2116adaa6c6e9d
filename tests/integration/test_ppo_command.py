"""``train rl ppo`` from the command line: it trains, goes on, shows its mask, and its run is a model."""

from __future__ import annotations

import json

from safetensors.torch import load_file

SMALL = (
    *("--set", "rollout.tasks_per_step=3", "--set", "rollout.limits.max_turn_tokens=6"),
    *("--set", "learner.learning_rate=1e-3", "--set", "critic.learner.learning_rate=1e-3"),
    *("--set", "critic.warmup_steps=1", "--set", "kl_in_reward.coefficient=0.01"),
    *("--set", "training.checkpoint_every=1"),
)


def test_ppo_runs_goes_on_and_its_run_is_a_model(tmp_path, command, model_folder, tasks_file):
    def train(out, steps):
        return command(
            *("train", "rl", "ppo", "--model", model_folder, "--tasks", tasks_file, "--out", out),
            *(*SMALL, "--set", f"training.steps={steps}"),
        )

    def written(out):
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        newest = sorted((out / "checkpoints").iterdir())[-1]
        weights = load_file(newest / "model.safetensors"), load_file(newest / "critic" / "model.safetensors")
        return [(line["step"], line["value_loss"], line.get("loss")) for line in lines], weights

    assert train(tmp_path / "straight", 4).exit_code == 0
    assert train(tmp_path / "grown", 2).exit_code == 0
    done = train(tmp_path / "grown", 4)
    assert done.exit_code == 0, done.output
    lines, weights = written(tmp_path / "grown")
    straight_lines, straight = written(tmp_path / "straight")
    assert lines == straight_lines
    assert len(lines) == 4
    for mine, other in zip(weights, straight, strict=True):
        assert mine.keys() == other.keys()
        assert all((mine[name] == value).all() for name, value in other.items())
    assert "value loss" in (tmp_path / "straight" / "report.html").read_text()

    limits = ("--set", "rollout.limits.max_turn_tokens=6")
    done = command(
        *("evaluate", "--model", tmp_path / "straight", "--tasks", tasks_file),
        *(*limits, "--out", tmp_path / "evaluated"),
    )
    assert done.exit_code == 0, done.output
    done = command(
        *("show", "mask", "ppo", "--model", tmp_path / "straight", "--tasks", tasks_file),
        *("--samples", 2, *limits),
    )
    assert done.exit_code == 0, done.output
    assert "sum-0, sample 1: 6 of" in done.output


def test_sampling_and_learning_overlap_where_the_recipe_says_so(tmp_path, command, model_folder, tasks_file):
    done = command(
        *("train", "rl", "ppo", "--model", model_folder, "--tasks", tasks_file, "--out", tmp_path / "run"),
        *(*SMALL, "--set", "training.steps=3", "--set", "training.overlap={}"),
    )
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    assert lines[0]["importance_max"] < 1.001 < lines[2]["importance_max"]


def test_a_custom_advantage_is_asked_whether_it_needs_the_critic(tmp_path, command, model_folder, tasks_file):
    def train(*settings):
        sets = [part for setting in settings for part in ("--set", setting)]
        out = tmp_path / "run"
        done = command(
            *("train", "rl", "grpo", "--model", model_folder, "--tasks", tasks_file, "--out", out, *sets)
        )
        assert not out.exists()
        return done

    done = train("advantage={type: custom, target: 'toolwise.advantages:GAE'}")
    assert done.exit_code == 2
    assert "the advantage needs a critic" in done.stderr
    done = train("advantage={type: custom, target: 'toolwise.advantages:GPG'}", "critic={}")
    assert done.exit_code == 2
    assert "no use for a critic" in done.stderr
