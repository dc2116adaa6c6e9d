"""The last layer computes only what is asked for, and nothing changes but the time it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_helpers import VOCABULARY, exact_norms, tiny_model

from toolwise.core import RolloutEnd, RolloutTree, StopReason, Task, Turn
from toolwise.learning import Learner, LearnerConfig, TokenTree, pack, sight, token_logprobs


def batch_of(seed=0, count=3, prompt=24, completion=5, samples=2, dtype=torch.float64):
    """Groups with long prompts, several of them in a row."""
    rng = np.random.default_rng(seed)

    def tokens(length):
        return tuple(int(token) for token in rng.integers(1, VOCABULARY, length))

    flat = []
    for number in range(count):
        made = [Turn("prompt", tokens(prompt + number))]
        made += [
            Turn("assistant", tokens(completion), sampled=True, logprobs=(-3.0,) * completion)
            for _ in range(samples)
        ]
        ends = tuple(
            RolloutEnd(1 + sample, sample, f"t{number}", StopReason.ANSWERED) for sample in range(samples)
        )
        task = Task(f"t{number}", ({"role": "user", "content": "?"},))
        tree = RolloutTree(task, tuple(made), (-1, *(0,) * samples), ends)
        flat.append(TokenTree.reinforced(tree, [rng.normal(size=len(r.token_ids)) for r in tree.rollouts()]))
    (batch,) = pack(flat, 4096, row_length=80, dtype=dtype)
    assert len(batch.input_ids) > 1
    return batch


def found(model, batch):
    """Log-probabilities and gradients; and how many tokens went through each layer's feed-forward part."""
    widths = []
    hooks = [
        layer.mlp.register_forward_pre_hook(lambda _, args: widths.append(args[0].shape[:-1].numel()))
        for layer in model.get_decoder().layers
    ]
    model.zero_grad()
    logprobs, _ = token_logprobs(model, batch)
    seen = list(widths)
    (logprobs * batch.weight.to(logprobs.dtype)).sum().backward()
    for hook in hooks:
        hook.remove()
    return logprobs.detach(), [part.grad.clone() for part in model.parameters() if part.requires_grad], seen


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(**sizes, vocab_size=VOCABULARY, pad_token_id=0))
    return exact_norms(model.to(torch.float64))


MODELS = {
    "qwen3": lambda: tiny_model("qwen3", dtype=torch.float64),
    "qwen2": lambda: tiny_model("qwen2", dtype=torch.float64),
    "llama": llama,
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("recomputed", [False, True])
def test_few_tokens_go_through_the_last_layer_and_all_else_is_the_same(kind, recomputed, monkeypatch):
    batch = batch_of()
    model = MODELS[kind]()
    model.train()
    with monkeypatch.context() as patch:
        patch.setattr(sight, "TRIMMED", 1.0)
        wanted, slopes, widths = found(model, batch)
    assert set(widths) == {batch.size}
    if recomputed:
        Learner(model, LearnerConfig(gradient_checkpointing=True))
    mine, gradients, widths = found(model, batch)
    asked = len(batch.predecessor.unique())
    assert widths == [batch.size] * (len(widths) - 1) + [asked]
    assert asked < batch.size / 2
    assert torch.allclose(mine, wanted, atol=1e-12)
    assert all(torch.allclose(one, other, atol=1e-11) for one, other in zip(gradients, slopes, strict=True))
    assert all(bool(gradient.any()) for gradient in gradients)


def test_dropout_and_an_adapter_are_no_obstacle():
    peft = pytest.importorskip("peft")
    batch = batch_of(dtype=torch.float32)
    model = tiny_model("qwen2", attention_dropout=0.3)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules="all-linear"))
    adapted.eval()
    wanted, _, widths = found(adapted, batch)
    assert widths[-1] < widths[0]
    adapted.train()
    dropped, _, widths = found(adapted, batch)
    assert widths[-1] < widths[0]
    assert not torch.allclose(dropped, wanted)


def test_an_argument_that_is_not_understood_leaves_the_layer_whole(monkeypatch):
    """Such as positions in three dimensions: everything is computed, as without this."""
    batch = batch_of()
    model = MODELS["qwen3"]()
    wanted, _, _ = found(model, batch)
    layer = model.get_decoder().layers[-1]

    def more(_, args, kwargs):
        return args, kwargs | {"extra": torch.zeros(3, *batch.input_ids.shape)}

    hook = layer.register_forward_pre_hook(more, with_kwargs=True)
    mine, _, widths = found(model, batch)
    hook.remove()
    assert set(widths) == {batch.size}
    assert torch.allclose(mine, wanted, atol=1e-12)
