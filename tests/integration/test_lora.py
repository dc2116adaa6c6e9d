"""Adapters on the command line: SFT and RL, going on, evaluation, merging; then transformers and PEFT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from toolwise.systems import load_model

pytest.importorskip("peft", reason="peft is not installed")
LORA = ("--set", "model.lora.rank=4", "--set", "model.lora.alpha=8", "--set", "model.lora.dropout=0.1")
SMALL = {
    "rl": ["rollout.tasks_per_step=2", "rollout.group_size=3", "rollout.limits.max_turn_tokens=6"],
    "sft": ["training.batch_size=3", "learner.schedule=constant", "learner.warmup_share=0"],
}


def sets(*settings):
    return tuple(part for setting in settings for part in ("--set", setting))


@pytest.fixture
def train(command, model_folder, tasks_file, demonstrations_file):
    def run(stage: str, out: Path, *settings: str, model=model_folder):
        file = {"rl": tasks_file, "sft": demonstrations_file}[stage]
        recipe = {"rl": "grpo", "sft": "sft"}[stage]
        arguments = ("train", stage, recipe, "--model", model, "--tasks", file, "--out", out, *LORA)
        return command(*arguments, *sets(*SMALL[stage], "learner.learning_rate=1e-2", *settings))

    return run


def newest(out: Path) -> Path:
    return sorted((out / "checkpoints").iterdir())[-1]


def metrics(out: Path):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["grad_norm"], line.get("kl")) for line in lines]


@pytest.mark.parametrize(
    ("stage", "settings"), [("sft", []), ("rl", ["loss.kl.coefficient=0.1", "loss.entropy_coefficient=0.5"])]
)
def test_going_on_equals_the_straight_run(tmp_path, train, stage, settings):
    done = train(stage, tmp_path / "straight", "training.steps=4", *settings)
    assert done.exit_code == 0, done.output
    assert "M trained)" in done.output
    assert train(stage, tmp_path / "grown", "training.steps=2", *settings).exit_code == 0
    assert train(stage, tmp_path / "grown", "training.steps=4", *settings).exit_code == 0
    assert metrics(tmp_path / "grown") == metrics(tmp_path / "straight")
    weights = [
        load_file(newest(tmp_path / name) / "adapter_model.safetensors") for name in ("grown", "straight")
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    if stage == "rl":
        # The reference is the base, from which the policy moves away.
        assert metrics(tmp_path / "straight")[0][3] == pytest.approx(0, abs=1e-9)
        assert metrics(tmp_path / "straight")[-1][3] != 0


def test_a_trained_adapter_is_used_merged_and_refused_as_a_base(
    tmp_path, train, command, model_folder, tasks_file
):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    run, whole = tmp_path / "run", tmp_path / "whole"
    assert train("sft", run, "training.steps=6").exit_code == 0
    ids = torch.arange(20, 40)[None]
    base = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    with torch.no_grad():
        plain = base(ids).logits
        adapted = PeftModel.from_pretrained(base, newest(run))(ids).logits
    assert not torch.allclose(plain, adapted, atol=1e-3)

    done = command("merge", run, "--out", whole)
    assert done.exit_code == 0, done.output
    merged = AutoModelForCausalLM.from_pretrained(whole).eval()
    loaded, tokenizer = load_model(str(run))
    assert tokenizer.chat_template
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, adapted, rtol=1e-4, atol=1e-5)
        assert torch.equal(merged(ids).logits, loaded.eval()(ids).logits)
    assert "is there already" in command("merge", run, "--out", whole).output
    assert "nothing to merge" in command("merge", whole, "--out", tmp_path / "x").output

    limits = ("--set", "rollout.limits.max_turn_tokens=4")
    done = command("evaluate", "--model", run, "--tasks", tasks_file, "--out", tmp_path / "out", *limits)
    assert done.exit_code == 0, done.output
    assert command("rollout", "--model", run, "--tasks", tasks_file, "--limit", 1, *limits).exit_code == 0

    done = train("rl", tmp_path / "rl", "training.steps=1", model=run)
    assert done.exit_code == 2
    assert "merge it first" in " ".join(done.output.split())
    assert train("rl", tmp_path / "rl", "training.steps=1", model=whole).exit_code == 0


def test_an_adapter_whose_model_has_gone_says_where_it_was(
    tmp_path, train, command, model_folder, tasks_file
):
    base, run = tmp_path / "base", tmp_path / "run"
    shutil.copytree(model_folder, base)
    assert train("sft", run, "training.steps=1", model=base).exit_code == 0
    shutil.rmtree(base)
    done = command("evaluate", "--model", run, "--tasks", tasks_file, "--out", tmp_path / "out")
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "there is no such folder" in said
    assert "base_model_name_or_path" in said


def test_what_does_not_go_with_an_adapter(tmp_path, command, model_folder, tasks_file):
    arguments = ("train", "rl", "grpo", "--tasks", tasks_file, "--out", tmp_path / "run")
    done = command(*arguments, "--set", "model.init={}", "--set", "model.lora={}")
    assert done.exit_code == 2
    assert "nothing to adapt" in done.output
    done = command(
        *arguments, "--model", model_folder, *LORA, "--set", "critic={}", "--set", "advantage={type: gae}"
    )
    assert "critic beside an adapter" in done.output
    done = command(*arguments, "--model", model_folder, "--set", "model.lora.base=nf4")
    assert torch.cuda.is_available() or "need a CUDA device" in done.output
    done = command(*arguments, "--model", model_folder, "--set", "model.lora.targets=[x_proj]")
    assert "linear layers are" in " ".join(done.output.split())
    assert not (tmp_path / "run").exists()
