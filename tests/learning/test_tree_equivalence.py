"""Loss, log-probabilities and gradients of shared, packed trees equal those of plain padded rollouts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_helpers import padded, padded_logprobs, random_advantages, random_tree, tiny_model

from toolwise.learning import (
    SupervisedLossConfig,
    TokenTree,
    aggregation_factors,
    batch_loss,
    pack,
    sight,
    token_logprobs,
)
from toolwise.learning.losses import (
    CISPOLossConfig,
    DPPOLossConfig,
    DROLossConfig,
    GeoMeanLossConfig,
    GPGLossConfig,
    GSPOLossConfig,
    KLConfig,
    PPOLossConfig,
    SAPOLossConfig,
    aggregate,
    kl_divergence,
    policy_loss,
)

LOSSES = [
    PPOLossConfig(),
    PPOLossConfig(clip_high=0.4, dual_clip=1.5, aggregation="seq-mean-token-mean"),
    PPOLossConfig(aggregation="token-sum", kl=KLConfig(coefficient=0.1), entropy_coefficient=0.05),
    PPOLossConfig(
        aggregation="seq-mean-token-sum-norm", horizon=11, kl=KLConfig(coefficient=0.3, estimator="k2")
    ),
    PPOLossConfig(aggregation="seq-mean-token-sum"),
    GSPOLossConfig(clip_low=0.1, clip_high=0.1),
    GeoMeanLossConfig(),
    SAPOLossConfig(),
    CISPOLossConfig(),
    GPGLossConfig(),
    DPPOLossConfig(),
    DROLossConfig(),
]


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


def close(found, wanted, tolerance, scale=1e-3):
    scale = max(float(wanted.abs().max()), scale)
    assert float((found - wanted).abs().max()) <= tolerance * scale


def compare(model, trees, advantages, config, tolerance, budget=48, row_length=16, temperature=1.0):
    ids, seen, mask, old, advantage = padded(trees, advantages)
    dtype = model.dtype
    mask, old, advantage = mask.to(dtype), old.to(dtype), advantage.to(dtype)
    logprobs, entropy = padded_logprobs(model, ids, seen, temperature)
    if not mask.any():
        return 0
    reference = (logprobs.detach() * 0.9 - 0.1) * mask
    rows = mask.sum(-1) > 0  # rows without a trained token leave every mean
    loss, _ = policy_loss(config, logprobs[rows], old[rows], advantage[rows], mask[rows])
    penalty = config.kl.coefficient * kl_divergence(logprobs, reference, config.kl.estimator)
    penalty = penalty - config.entropy_coefficient * entropy
    loss = loss + aggregate(penalty, mask, config.aggregation, horizon=config.horizon)
    wanted = gradients(model, loss)

    flat = [TokenTree.reinforced(tree, gain) for tree, gain in zip(trees, advantages, strict=True)]
    row = 0
    annotated = []
    for tree in flat:
        full = np.zeros(len(tree))
        for rollout in range(len(tree.paths)):
            along = tree.path_tokens(rollout)
            full[along] = reference[row, : len(along)].double().numpy()
            row += 1
        annotated.append(
            TokenTree(**{name: getattr(tree, name) for name in tree.__slots__} | {"ref_logprobs": full})
        )
    factors = aggregation_factors(annotated, config.aggregation, config.horizon)
    batches = pack(annotated, budget, row_length=row_length, factors=factors, dtype=dtype)
    total = 0.0
    for batch in batches:
        new, entropies = token_logprobs(model, batch, temperature=temperature, entropy=True)
        value, _ = batch_loss(config, batch, new, entropies)
        total = total + value
    # The loss is a mean of terms of both signs that can all but cancel: rounding follows their size.
    close(total.detach(), loss.detach(), tolerance, scale=float((advantage * mask).abs().sum() / mask.sum()))
    # Relative error of the gradient as one vector: single entries can be sums that all but cancel.
    found, want = (
        torch.cat([part.flatten() for part in parts]) for parts in (gradients(model, total), wanted)
    )
    assert float((found - want).norm()) <= tolerance * max(float(want.norm()), 1e-3)
    return len(batches)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6), which=st.integers(0, len(LOSSES) - 1), temperature=st.sampled_from([1.0, 0.7])
)
def test_policy_losses_and_gradients_equal_the_padded_batch(seed, which, temperature):
    rng = np.random.default_rng(seed)
    model = tiny_model(seed=seed % 3, dtype=torch.float64)
    trees = [random_tree(rng, f"t{index}") for index in range(int(rng.integers(1, 6)))]
    advantages = [random_advantages(rng, tree) for tree in trees]
    compare(model, trees, advantages, LOSSES[which], 1e-10, temperature=temperature)


@pytest.mark.parametrize("config", LOSSES, ids=lambda config: f"{config.type}-{config.aggregation}")
def test_every_policy_loss_in_both_precisions(config):
    rng = np.random.default_rng(7)
    trees = [random_tree(rng, f"t{index}") for index in range(6)]
    advantages = [random_advantages(rng, tree) for tree in trees]
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        batches = compare(tiny_model(dtype=dtype), trees, advantages, config, tolerance)
        assert batches > 1  # several micro-batches add up


@pytest.mark.parametrize("config", LOSSES[:6:2], ids=lambda config: config.type)
def test_losses_where_every_shared_token_is_a_stem(config, monkeypatch):
    monkeypatch.setattr(sight, "STEM_KEYS", 1)
    monkeypatch.setattr(sight, "STEM_PAIRS", 1)
    monkeypatch.setattr(sight, "TRIMMED", 0.0)
    rng = np.random.default_rng(11)
    trees = [random_tree(rng, f"t{index}", longest=9) for index in range(6)]
    advantages = [random_advantages(rng, tree) for tree in trees]
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        compare(tiny_model(dtype=dtype), trees, advantages, config, tolerance, budget=96, row_length=48)


def test_clipping_was_active_in_these_comparisons():
    rng = np.random.default_rng(7)
    trees = [random_tree(rng, f"t{index}") for index in range(6)]
    flat = [TokenTree.reinforced(tree, random_advantages(rng, tree)) for tree in trees]
    model = tiny_model()
    clipped = trained = 0.0
    for batch in pack(flat, 48, row_length=16):
        new, entropies = token_logprobs(model, batch, entropy=True)
        clipped += float(batch_loss(PPOLossConfig(), batch, new, entropies)[1]["clip_share"])
        trained += len(batch.targets)
    assert 0.1 < clipped / trained < 0.9


@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
@pytest.mark.parametrize("mode", ["token-mean", "seq-mean-token-mean", "token-sum", "seq-mean-token-sum"])
def test_supervised_loss_equals_the_padded_batch(kind, mode):
    rng = np.random.default_rng(3)
    model = tiny_model(kind, dtype=torch.float64)
    trees = [random_tree(rng, f"t{index}") for index in range(5)]
    ids, seen, mask, _, _ = padded(trees, [random_advantages(rng, tree) for tree in trees], supervised=True)
    logprobs, _ = padded_logprobs(model, ids, seen)
    loss = aggregate(-logprobs, mask, mode)
    wanted = gradients(model, loss)
    flat = [TokenTree.supervised(tree) for tree in trees]
    factors = aggregation_factors(flat, mode)
    config = SupervisedLossConfig(aggregation=mode)
    total = 0.0
    for batch in pack(flat, 40, row_length=16, factors=factors, dtype=torch.float64):
        total = total + batch_loss(config, batch, token_logprobs(model, batch)[0], None)[0]
    close(total.detach(), loss.detach(), 1e-10)
    for found, want in zip(gradients(model, total), wanted, strict=True):
        close(found, want, 1e-10)


def test_sliding_window_layers_see_their_window_along_the_path():
    rng = np.random.default_rng(5)
    model = tiny_model(
        dtype=torch.float64,
        use_sliding_window=True,
        sliding_window=3,
        max_window_layers=1,
        num_hidden_layers=2,
    )
    assert set(model.config.layer_types) == {"full_attention", "sliding_attention"}
    trees = [random_tree(rng, f"t{index}") for index in range(5)]
    compare(model, trees, [random_advantages(rng, tree) for tree in trees], PPOLossConfig(), 1e-10)
