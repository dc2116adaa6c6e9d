"""The critic on shared trees: values, value loss and gradients equal those of plain padded rollouts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_helpers import exact_norms, padded, random_advantages, random_tree, tiny_model
from transformers import AutoModelForTokenClassification

from toolwise.core import ToolwiseError
from toolwise.learning import Critic, CriticConfig, LearnerConfig, TokenTree, pack, value_model
from toolwise.learning.aggregation import aggregation_factors
from toolwise.learning.critic import batch_value_loss, explained_variance
from toolwise.learning.losses import value_loss
from toolwise.learning.values import token_values


def critic_model(kind: str = "qwen3", seed: int = 0, dtype: torch.dtype = torch.float32, **changes):
    model = value_model(tiny_model(kind, seed, torch.float32, **changes), seed).to(dtype)
    with torch.no_grad():
        model.score.weight.mul_(20.0)
        model.score.bias.add_(0.3)
    return exact_norms(model) if dtype == torch.float64 else model


def material(rng: np.random.Generator, count: int):
    """Trees with old values, and with returns that differ among the rollouts that share a token."""
    trees = [random_tree(rng, f"t{index}") for index in range(count)]
    returns = [random_advantages(rng, tree) for tree in trees]
    flat = [
        replace(tree, values=rng.normal(size=len(tree)))
        for tree in (TokenTree.reinforced(tree) for tree in trees)
    ]
    flat = [tree.credited(gain, gain) for tree, gain in zip(flat, returns, strict=True)]
    return trees, returns, flat


def padded_values(model, ids, seen):
    found = model(input_ids=ids, attention_mask=seen.long()).logits[:, :-1, 0]
    return torch.cat([found.new_zeros(len(ids), 1), found], 1)


def gradient(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def compare(model, rng, count, clip, tolerance, budget=48):
    trees, returns, flat = material(rng, count)
    ids, seen, mask, _, target = padded(trees, returns)
    mask, target = mask.to(model.dtype), target.to(model.dtype)
    old = torch.zeros_like(target)
    rows = [values for tree in flat for values in tree.along(tree.values)]
    for row, values in enumerate(rows):
        old[row, : len(values)] = torch.from_numpy(values)
    loss, found = value_loss(padded_values(model, ids, seen), old, target, mask, clip)
    if not mask.any():
        return 0, 0.0
    wanted = gradient(model, loss)
    batches = pack(
        flat, budget, row_length=16, factors=aggregation_factors(flat, "token-mean"), dtype=model.dtype
    )
    parts = [batch_value_loss(batch, token_values(model, batch), clip) for batch in batches]
    total = sum(part for part, _ in parts)
    assert float(total.detach()) == pytest.approx(float(loss.detach()), rel=tolerance)
    got = gradient(model, total)
    assert float((got - wanted).norm()) <= tolerance * max(float(wanted.norm()), 1e-3)
    clipped = sum(float(cut) for _, cut in parts) / float(mask.sum())
    assert clipped == pytest.approx(found["clip_fraction"], abs=1e-6)
    return len(batches), clipped


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), clip=st.sampled_from([None, 0.0, 0.2, 0.5, 10.0]))
def test_the_value_loss_and_its_gradient_equal_the_padded_batch(seed, clip):
    rng = np.random.default_rng(seed)
    model = critic_model(seed=seed % 3, dtype=torch.float64)
    compare(model, rng, int(rng.integers(1, 6)), clip, 1e-9)


@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
def test_the_value_loss_in_both_precisions_with_clipping_at_work(kind):
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        model = critic_model(kind, dtype=dtype)
        batches, clipped = compare(model, np.random.default_rng(7), 8, 0.5, tolerance)
        assert batches > 1  # several micro-batches add up
        assert 0.1 < clipped < 0.9


def test_shared_tokens_with_different_returns_were_among_them():
    _, _, flat = material(np.random.default_rng(7), 8)
    assert any(
        len(set(tree.pair_return[tree.pair_token == token])) > 1
        for tree in flat
        for token in set(tree.pair_token.tolist())
    )


def test_annotated_values_are_those_of_the_state_before_each_token():
    rng = np.random.default_rng(3)
    trees = [random_tree(rng, f"t{index}") for index in range(6)]
    model = critic_model(dtype=torch.float64)
    critic = Critic(model, CriticConfig(learner=LearnerConfig(token_budget=40)))
    flat = critic.annotate_values([TokenTree.reinforced(tree) for tree in trees])
    ids, seen, mask, _, _ = padded(trees, [random_advantages(rng, tree) for tree in trees])
    model.eval()
    wanted = (padded_values(model, ids, seen) * mask).detach().numpy()
    rows = [values for tree in flat for values in tree.along(tree.values)]
    for row, values in enumerate(rows):
        assert values == pytest.approx(wanted[row, : len(values)], abs=1e-12)
    assert any(np.any(row) for row in rows)


def test_the_critic_begins_as_a_copy_of_the_policy_with_a_fresh_head(tmp_path):
    policy = tiny_model("qwen3")
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    torch.manual_seed(1)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    model = value_model(policy, seed=5)
    assert torch.equal(torch.rand(1), drawn)  # the run's own numbers are not used up
    for name, value in policy.get_decoder().state_dict().items():
        assert torch.equal(model.get_decoder().state_dict()[name], value)
    assert model.score.weight.shape == (1, 16)
    assert float(model.score.weight.detach().std()) == pytest.approx(policy.config.initializer_range, rel=0.5)
    assert model.score.bias.tolist() == [0.0]
    assert torch.equal(value_model(policy, seed=5).score.weight, model.score.weight)
    assert not torch.equal(value_model(policy, seed=6).score.weight, model.score.weight)
    with torch.no_grad():
        model.get_decoder().embed_tokens.weight.add_(1.0)
    assert all(torch.equal(value, before[name]) for name, value in policy.state_dict().items())
    assert policy.config.num_labels == 2  # its own configuration stays
    model.save_pretrained(tmp_path)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert type(loaded) is type(model)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_a_head_that_begins_at_zero_gives_every_state_the_value_0_and_learns():
    rng = np.random.default_rng(0)
    trees = [TokenTree.reinforced(random_tree(rng, f"t{index}", turns=4)) for index in range(4)]
    critic = Critic(
        value_model(tiny_model(), 0, "zero"), CriticConfig(learner=LearnerConfig(learning_rate=1e-2))
    )
    flat = critic.annotate_values(trees)
    assert not any(np.any(tree.values) for tree in flat)
    ones = [[np.ones(len(path)) for path in tree.along(tree.values)] for tree in flat]
    batch = [tree.credited(gain, gain) for tree, gain in zip(flat, ones, strict=True)]
    losses = [critic.step(batch)["value_loss"] for _ in range(20)]
    assert losses[0] == pytest.approx(0.5)
    assert losses[-1] < 0.25


def test_a_model_without_such_a_head_is_refused():
    from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM

    policy = RecurrentGemmaForCausalLM(
        RecurrentGemmaConfig(
            num_hidden_layers=1, hidden_size=16, intermediate_size=16, vocab_size=8, num_attention_heads=2
        )
    )
    with pytest.raises(ToolwiseError, match="'recurrent_gemma' has no head for values"):
        value_model(policy, seed=0)


def test_the_critic_learns_to_foretell_the_returns():
    rng = np.random.default_rng(0)
    trees = [TokenTree.reinforced(random_tree(rng, f"t{index}", turns=4)) for index in range(6)]
    critic = Critic(
        critic_model(),
        CriticConfig(learner=LearnerConfig(learning_rate=3e-3), clip=None),
    )
    # Worth is the number of the first token, which every state knows.
    returns = [
        [np.full(len(path), tree.input_ids[0] / 37) for path in tree.along(tree.old_logprobs)]
        for tree in trees
    ]
    batch = [
        tree.credited(gains, gains)
        for tree, gains in zip(critic.annotate_values(trees), returns, strict=True)
    ]
    losses = [critic.step(batch)["value_loss"] for _ in range(60)]
    assert losses[-1] < 0.1 * losses[0]
    after = critic.annotate_values(batch)
    assert explained_variance(after)["explained_variance"] > 0.9
    assert critic.steps == 60


def test_explained_variance_of_known_values():
    rng = np.random.default_rng(2)
    _, _, flat = material(rng, 5)
    perfect = []
    for tree in flat:  # no rollout may share a token here, or no one value foretells all
        values = np.zeros(len(tree))
        values[tree.pair_token] = tree.pair_return
        perfect.append(tree.credited(tree.along(values), tree.along(values)))
    exact = [replace(tree, values=_by_token(tree)) for tree in perfect]
    found = explained_variance(exact)
    assert found["explained_variance"] == pytest.approx(1.0)
    shifted = [replace(tree, values=tree.values + 3) for tree in exact]
    assert explained_variance(shifted)["explained_variance"] == pytest.approx(1.0)
    constant = [replace(tree, values=np.full(len(tree), 9.0)) for tree in exact]
    assert explained_variance(constant)["explained_variance"] == pytest.approx(0.0)
    returns = np.concatenate([tree.pair_return for tree in exact])
    assert found["returns_mean"] == pytest.approx(returns.mean())
    flat_returns = [
        replace(tree, pair_return=np.full(len(tree.pair_token), 0.3), values=np.zeros(len(tree)))
        for tree in exact
    ]
    assert "explained_variance" not in explained_variance(flat_returns)


def _by_token(tree):
    values = np.zeros(len(tree))
    values[tree.pair_token] = tree.pair_return
    return values
