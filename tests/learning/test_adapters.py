"""Adapters: what is trained, what is saved, and what the reference is."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from learning_helpers import random_advantages, random_tree, tiny_model

from toolwise.core import ToolwiseError
from toolwise.learning import (
    Learner,
    LearnerConfig,
    LoraSettings,
    RunFolder,
    SupervisedLossConfig,
    TokenTree,
    add_adapter,
    load_checkpoint,
)
from toolwise.learning.adapters import adapter_base, without_adapter
from toolwise.learning.losses import PPOLossConfig

pytest.importorskip("peft", reason="peft is not installed")
SETTINGS = LoraSettings(rank=4, alpha=8)


def adapted(seed=0, settings=SETTINGS, **changes):
    model = tiny_model(**changes)
    add_adapter(model, settings, base="base", seed=seed)
    return model


def trees(count=5, seed=0):
    rng = np.random.default_rng(seed)
    made = [random_tree(rng, f"t{number}") for number in range(count)]
    return [TokenTree.reinforced(tree, random_advantages(rng, tree)) for tree in made]


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(torch.arange(1, 12)[None]).logits


def test_only_the_adapter_is_trained_and_optimised():
    model = adapted()
    before = {name: value.clone() for name, value in model.named_parameters()}
    assert torch.equal(logits(model), logits(tiny_model()))  # a fresh adapter changes nothing
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    # Two matrices for each of the seven linear layers of the two blocks.
    assert len(trained) == 28
    assert all("lora_" in name for name in trained)
    learner = Learner(model, LearnerConfig(learning_rate=1e-2))
    for _ in range(2):
        learner.step(trees(), SupervisedLossConfig())
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed == trained
    held = sum(value.numel() for group in learner.optimizer.param_groups for value in group["params"])
    assert held == sum(before[name].numel() for name in trained)


def test_gradients_are_those_of_the_merged_weight():
    """dL/dB = s · dL/dW · Aᵀ and dL/dA = s · Bᵀ · dL/dW, with dL/dW of the whole weight W + s·B·A."""
    torch.manual_seed(3)
    model = adapted(settings=LoraSettings(rank=4, alpha=8, targets=("o_proj",)), dtype=torch.float64)
    parts = dict(model.named_parameters())
    for name, value in parts.items():
        if "lora_" in name:
            value.data = torch.randn_like(value, dtype=torch.float64) * 0.1
    whole = tiny_model(dtype=torch.float64)
    batch = trees()
    for layer in range(2):
        place = f"model.layers.{layer}.self_attn.o_proj"
        up, down = (parts[f"{place}.lora_{part}.default.weight"] for part in "BA")
        whole.get_submodule(place).weight.data += 2.0 * (up @ down)
    for each in (model, whole):
        Learner(each, LearnerConfig(learning_rate=1e-12, grad_clip=None)).step(batch, PPOLossConfig())
    for layer in range(2):
        place = f"model.layers.{layer}.self_attn.o_proj"
        slope = whole.get_submodule(place).weight.grad
        up, down = (parts[f"{place}.lora_{part}.default.weight"] for part in "BA")
        torch.testing.assert_close(up.grad, 2.0 * slope @ down.T, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(down.grad, 2.0 * up.T @ slope, rtol=1e-6, atol=1e-9)


def test_the_reference_is_the_policy_without_its_adapter():
    model = adapted()
    learner = Learner(model, LearnerConfig(learning_rate=1e-2))
    learner.step(trees(), SupervisedLossConfig())
    batch = trees(seed=1)
    mine = learner.annotate_reference(batch, model)
    copy = learner.annotate_reference(batch, tiny_model())
    assert all(np.array_equal(a.ref_logprobs, b.ref_logprobs) for a, b in zip(mine, copy, strict=True))
    assert not torch.equal(logits(model), logits(tiny_model()))  # it is on again
    whole = Learner(tiny_model(), LearnerConfig())
    with pytest.raises(ToolwiseError, match="no adapter to switch off"):
        whole.annotate_reference(batch, whole.model)
    with pytest.raises(RuntimeError), without_adapter(model):
        raise RuntimeError
    assert not torch.equal(logits(model), logits(tiny_model()))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_checkpoint_is_the_adapter_and_goes_on_bit_for_bit(tmp_path, dropout):
    from peft import PeftModel

    settings = LoraSettings(rank=4, alpha=8, dropout=dropout)
    run = RunFolder(tmp_path)
    straight = Learner(adapted(settings=settings), LearnerConfig(learning_rate=1e-2))
    for step in range(4):
        torch.manual_seed(step)
        straight.step(trees(seed=step), PPOLossConfig())
        if step == 1:
            saved = run.save(2, straight)
    names = {path.name for path in saved.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "trainer_state.pt"} <= names
    assert not {"model.safetensors", "config.json"} & names
    assert adapter_base(saved) == "base"

    stopped = Learner(adapted(seed=9, settings=settings), LearnerConfig(learning_rate=1e-2))
    assert run.resume(stopped) == 2
    loaded = PeftModel.from_pretrained(tiny_model(), saved)
    assert torch.equal(logits(loaded), logits(stopped.model))
    for step in (2, 3):
        torch.manual_seed(step)
        stopped.step(trees(seed=step), PPOLossConfig())
    pairs = zip(straight.model.parameters(), stopped.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)

    other = adapted(settings=LoraSettings(rank=8))
    with pytest.raises(ToolwiseError, match="cannot be read"):
        load_checkpoint(saved, other)
    with pytest.raises(ToolwiseError, match="cannot be read"):
        load_checkpoint(saved, adapted(settings=LoraSettings(rank=4, targets=("o_proj",))))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (LoraSettings(targets=("no_proj",)), "linear layers are: .*q_proj"),
        (LoraSettings(targets=("lm_head",)), "output layer take no adapter"),
        (LoraSettings(targets=("embed_tokens",)), "output layer take no adapter"),
    ],
)
def test_targets_that_cannot_be(settings, problem):
    with pytest.raises(ToolwiseError, match=problem) as caught:
        adapted(settings=settings)
    assert caught.value.where == "model.lora.targets"


def test_four_bits_need_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert LoraSettings().precision() == "float32"
    assert LoraSettings(base="bfloat16").precision() == "bfloat16"
    with pytest.raises(ToolwiseError, match="need a CUDA device") as caught:
        LoraSettings(base="nf4").precision()
    assert "bfloat16" in caught.value.mend
    monkeypatch.setattr("toolwise.learning.adapters.find_spec", lambda name: None)
    with pytest.raises(ToolwiseError, match="adapters need PEFT") as caught:
        LoraSettings().precision()
    assert "toolwise[lora]" in caught.value.mend


def test_a_frozen_base_in_bfloat16_has_a_float32_adapter():
    model = adapted(dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}
    metrics = Learner(model, LearnerConfig(learning_rate=1e-2)).step(trees(), SupervisedLossConfig())
    assert metrics["grad_norm"] > 0


def test_adapters_of_others_that_are_not_safe_or_whole(tmp_path):
    with pytest.raises(ToolwiseError, match=r"adapter_model.safetensors is missing"):
        adapter_base(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    for text, problem in (
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "does not say which model"),
    ):
        (tmp_path / "adapter_config.json").write_text(text)
        with pytest.raises(ToolwiseError, match=problem):
            adapter_base(tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "x/y"}))
    assert adapter_base(tmp_path) == "x/y"
