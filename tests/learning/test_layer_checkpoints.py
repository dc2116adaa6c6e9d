"""Layers whose activations are computed anew give the very gradients, on token trees as well."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_helpers import random_advantages, random_tree, tiny_model

from toolwise.learning import Learner, LearnerConfig, TokenTree, batch_loss, pack, token_logprobs
from toolwise.learning.losses import PPOLossConfig


def gradients(model, batches):
    model.train()
    model.zero_grad()
    for batch in batches:
        logprobs, entropies = token_logprobs(model, batch, entropy=True)
        batch_loss(PPOLossConfig(entropy_coefficient=0.01), batch, logprobs, entropies)[0].backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


@pytest.mark.parametrize(
    "changes", [{}, {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}]
)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_are_the_same(changes, dropout):
    rng = np.random.default_rng(0)
    model = tiny_model("qwen2", **changes, attention_dropout=dropout)
    trees = [random_tree(rng, f"t{number}") for number in range(6)]
    flat = [TokenTree.reinforced(tree, random_advantages(rng, tree)) for tree in trees]
    batches = pack(flat, 48, row_length=24)
    seen = 0

    def count(*_):
        nonlocal seen
        seen += 1

    model.model.layers[0].mlp.register_forward_pre_hook(count)
    torch.manual_seed(1)
    wanted = gradients(model, batches)
    assert seen == len(batches)
    Learner(model, LearnerConfig(gradient_checkpointing=True))
    seen = 0
    torch.manual_seed(1)
    found = gradients(model, batches)
    assert seen == 2 * len(batches)  # it did compute them anew
    assert any(bool(gradient.any()) for gradient in wanted)
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
    # Evaluation keeps nothing, so nothing is computed twice.
    seen = 0
    model.eval()
    with torch.no_grad():
        token_logprobs(model, batches[0])
    assert seen == 1
