"""Published data through the whole way: a tiny model from scratch, SFT, then RL on the real tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
TINY = (
    "model.init.hidden_size=32",
    "model.init.layers=1",
    "model.init.heads=2",
    "model.init.vocabulary=1000",
)

pytestmark = pytest.mark.data


def settings(*pairs: str) -> tuple[str, ...]:
    return tuple(part for pair in pairs for part in ("--set", pair))


def file(name: str) -> Path:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{name} is not beside the checkout")
    return path


def last(folder: Path) -> dict:
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])


def test_toolrl_from_its_demonstrations_to_its_tasks(tmp_path, command):
    demonstrations, tasks = file("toolrl_rlla/rlla_sft.json"), file("toolrl_rlla/test.parquet")
    sft, rl = tmp_path / "sft", tmp_path / "rl"
    done = command(
        *("train", "sft", "toolrl-sft", "--tasks", demonstrations, "--limit", 6, "--out", sft),
        *settings(*TINY, "training.steps=2", "training.batch_size=3", "validation.share=0.2"),
    )
    assert done.exit_code == 0, done.output
    assert last(sft)["validation_loss"] > 0
    done = command(
        *("train", "rl", "toolrl", "--model", sft, "--tasks", tasks, "--limit", 3, "--out", rl),
        *settings("training.steps=1", "training.mini_batches=2", "rollout.tasks_per_step=3"),
        *settings("rollout.limits.max_turn_tokens=24"),
    )
    assert done.exit_code == 0, done.output
    metrics = last(rl)
    assert {"reward_format", "reward_correctness", "kl", "entropy"} <= metrics.keys()
    assert metrics["rollouts"] == 12
    # A model of random weights writes no call: the least reward of tasks that want one.
    assert -3 <= metrics["reward_correctness"] <= 0
    done = command(
        "evaluate",
        "--model",
        rl,
        "--tasks",
        tasks,
        "--limit",
        2,
        "--out",
        tmp_path / "eval",
        *settings("rollout.limits.max_turn_tokens=8"),
    )
    assert done.exit_code == 0, done.output
    (record,) = json.loads((tmp_path / "eval" / "results.json").read_text())
    assert record["rewards"].keys() == {"reward", "format", "correctness", "length"}


def test_gsm8k_with_the_calculator(tmp_path, command):
    data = file("gsm8k/train.jsonl")
    sft, rl = tmp_path / "sft", tmp_path / "rl"
    some = tmp_path / "gsm8k.jsonl"
    with data.open(encoding="utf-8") as whole:
        some.write_text("".join(line for _, line in zip(range(12), whole, strict=False)))
    done = command(
        *("train", "sft", "gsm8k-sft", "--tasks", some, "--out", sft),
        *settings(*TINY, "training.steps=2", "validation.share=0.1"),
    )
    assert done.exit_code == 0, done.output
    done = command(
        *("train", "rl", "gsm8k", "--model", sft, "--tasks", some, "--out", rl),
        *settings("training.steps=2", "rollout.tasks_per_step=2", "rollout.group_size=2"),
        *settings("rollout.limits.max_turn_tokens=16", "validation.share=0.1", "training.validate_every=1"),
    )
    assert done.exit_code == 0, done.output
    assert last(rl)["validation_accuracy"] == 0.0


def test_a_turn_as_good_as_the_reference_is_right():
    from toolwise.core import Reward, Task
    from toolwise.rewards import ToolRLReward
    from toolwise.systems.evaluating import solved

    reward = ToolRLReward()
    calls = '<think> t </think>\n<tool_call>\n{"name": "f", "parameters": {}}\n</tool_call>'
    wants_call = Task("a", ({"role": "user", "content": "?"},), answer=calls)
    wants_none = Task(
        "b", ({"role": "user", "content": "?"},), answer="<think> t </think>\n<response> r </response>"
    )

    def given(format: float, correctness: float) -> Reward:
        return Reward(format + correctness, {"format": format, "correctness": correctness, "length": 0.0})

    assert solved(wants_call, given(1, 3), reward)
    assert not solved(wants_call, given(1, 2.4), reward)
    assert not solved(wants_call, given(0, 3), reward)
    assert solved(wants_none, given(1, 0), reward)
    assert not solved(wants_none, given(0, 0), reward)
