"""The arithmetic of memory against what a real model, its optimizer and its backward pass hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from toolwise.core import RolloutTree, Task, ToolwiseError, Turn
from toolwise.learning import (
    Learner,
    LearnerConfig,
    LoraSettings,
    SupervisedLossConfig,
    TokenTree,
    add_adapter,
    pack,
    token_logprobs,
)
from toolwise.learning.layer_checkpoints import checkpoint_layers
from toolwise.systems.gpus import learning_gpus, serving_gpus, sharded_memory
from toolwise.systems.memory import GIB, memory, model_size

DOCS = Path(__file__).resolve().parents[2] / "docs" / "memory.md"
TOKENS = 1024


def small(**changes):
    torch.manual_seed(0)
    shape = {
        "vocab_size": 80,
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    }
    return Qwen2ForCausalLM(Qwen2Config(**(shape | changes)))


@pytest.fixture
def tree():
    task = Task("t", ({"role": "user", "content": "?"},))
    turns = [Turn("prompt", (1,) * (TOKENS // 2)), Turn("assistant", (2,) * (TOKENS // 2))]
    return TokenTree.supervised(RolloutTree.demonstration(task, turns))


def held(values):
    return sum(value.numel() * value.element_size() for value in values)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("rank", [None, 4])
def test_weights_gradients_and_optimizer_are_exact(tmp_path, tree, tied, rank):
    model = small(tie_word_embeddings=tied)
    model.save_pretrained(tmp_path)
    size = model_size(str(tmp_path))
    if rank is not None:
        pytest.importorskip("peft", reason="peft is not installed")
        model = model.to(torch.bfloat16)
        add_adapter(model, LoraSettings(rank=rank), base=str(tmp_path), seed=0)
    parts = memory(size, "full" if rank is None else "lora", "sft", rank=rank or 16)
    learner = Learner(model, LearnerConfig())
    learner.step([tree], SupervisedLossConfig())
    trained = [value for value in model.parameters() if value.requires_grad]
    assert held(model.parameters()) == parts["weights"] + parts["adapter"]
    assert held(value.grad for value in trained) == parts["gradients"]
    moments = [
        value
        for state in learner.optimizer.state.values()
        for value in state.values()
        if torch.is_tensor(value) and value.ndim
    ]
    assert held(moments) == parts["optimizer"]
    assert size.keys_and_values == 3 * 2 * 2 * 24


def kept_for_backward(model, tree):
    """Bytes that the forward pass keeps, but for the parameters themselves."""
    kept, own = {}, {value.untyped_storage().data_ptr() for value in model.parameters()}
    alive = []

    def keep(value):
        storage = value.untyped_storage()
        alive.append(value)
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return value

    (batch,) = pack([tree], 2 * TOKENS)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value),
        torch.autocast("cpu", torch.bfloat16),
    ):
        token_logprobs(model.train(), batch)
    return sum(kept.values())


@pytest.mark.parametrize(
    "changes", [{}, {"hidden_size": 64, "intermediate_size": 384, "num_hidden_layers": 5}]
)
def test_the_estimate_of_activations(tmp_path, tree, changes):
    model = small(**changes)
    model.save_pretrained(tmp_path)
    size = model_size(str(tmp_path))
    estimate = memory(size, "full", "sft", token_budget=TOKENS, gradient_checkpointing=False)["activations"]
    # Besides, bfloat16 copies of the weights; causal attention over a whole path needs no mask.
    estimate += 2 * size.linear
    assert kept_for_backward(model, tree) == pytest.approx(estimate, rel=0.12)


def test_checkpointed_layers_keep_what_goes_into_them(tree):
    found = []
    for layers in (2, 5):
        model = small(num_hidden_layers=layers)
        checkpoint_layers(model)
        found.append(kept_for_backward(model, tree))
    assert (found[1] - found[0]) / 3 == 4 * 96 * TOKENS


def test_published_models_have_their_parameters():
    """As their model cards state: 1.54 B, 3.09 B and 7.61 B parameters."""
    found = [model_size(f"Qwen2.5-{name}").parameters / 1e9 for name in ("1.5B", "3B", "7B")]
    assert found == pytest.approx([1.54, 3.09, 7.61], abs=0.01)


def test_the_table_of_the_documentation_is_what_is_computed():
    text = DOCS.read_text(encoding="utf-8")
    for name in ("1.5B", "3B", "7B"):
        size = model_size(f"qwen2.5-{name}".lower())
        kinds = [(method, stage) for method in ("full", "lora", "qlora") for stage in ("sft", "rl")]
        row = " | ".join(f"{memory(size, *kind)['all'] / GIB:.1f}" for kind in kinds)
        assert f"| Qwen2.5-{name} | {row} |" in text


def test_parts_that_a_method_does_not_have():
    size = model_size("qwen2.5-1.5b")
    full, adapter = memory(size, "full", "rl"), memory(size, "qlora", "rl")
    assert full["adapter"] == 0 < full["reference"]
    assert adapter["reference"] == 0 < adapter["adapter"]
    assert memory(size, "full", "rl", reference=False)["reference"] == 0
    assert memory(size, "lora", "sft")["keys and values"] == 0
    assert sum(value for part, value in full.items() if part != "all") == full["all"]


def test_the_command_and_unknown_models(tmp_path):
    from typer.testing import CliRunner

    from toolwise.cli.app import app

    done = CliRunner().invoke(app, ["memory", "qwen2.5-7b"])
    assert done.exit_code == 0, done.output
    assert "7.62 B parameters" in done.output
    assert re.search(r"optimizer\s+56\.7\s+56\.7\s+0\.3", done.output)
    with pytest.raises(ToolwiseError, match=r"qwen2\.5-1\.5b"):
        model_size(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "no_such"}')
    with pytest.raises(ToolwiseError, match="cannot be read"):
        model_size(str(tmp_path))


def test_shards_add_up_and_more_accelerators_hold_less():
    size = model_size("qwen2.5-7b")
    whole = memory(size, "full", "rl")
    eight, sixteen = (sharded_memory(size, "full", "rl", gpus) for gpus in (8, 16))
    for part in ("weights", "gradients", "optimizer", "reference"):
        assert 8 * eight[part] == 16 * sixteen[part] == whole[part]
    assert eight["gathered"] == sixteen["gathered"] > 0 == eight["sampled copy"] == eight["keys and values"]
    assert sum(value for part, value in eight.items() if part != "all") == eight["all"]
    embedded = sharded_memory(size, "full", "rl", 8, embedded=True)
    assert embedded["all"] - eight["all"] == 4 * size.parameters + whole["keys and values"]


def test_the_page_on_scaling_says_what_is_computed():
    text = DOCS.with_name("scaling.md").read_text(encoding="utf-8")
    for name in ("7B", "32B", "72B"):
        size = model_size(f"qwen2.5-{name}".lower())
        kinds = [(method, stage) for method in ("full", "lora") for stage in ("sft", "rl")]
        row = " | ".join(str(learning_gpus(size, *kind)) for kind in kinds)
        assert f"| Qwen2.5-{name} | {row} | {serving_gpus(size)} |" in text


def test_the_command_for_several_accelerators():
    from typer.testing import CliRunner

    from toolwise.cli.app import app

    done = CliRunner().invoke(app, ["memory", "qwen2.5-7b", "--gpus", "8"])
    assert done.exit_code == 0, done.output
    assert "each of 8 accelerators" in done.output
    assert re.search(r"optimizer\s+7\.1", done.output)
