import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toolwise.learning.losses import (
    AdaptiveKL,
    aggregate,
    kl_divergence,
    kl_in_reward,
    sequence_weights,
    value_loss,
)

LOSS = torch.tensor([[1.0, 2.0, 50.0], [3.0, 4.0, 5.0], [9.0, 9.0, 9.0]], dtype=torch.float64)
MASK = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("mode", "options", "expected"),
    [
        ("token-mean", {}, 15 / 5),
        ("token-sum", {}, 15.0),
        ("seq-mean-token-sum", {}, (3 + 12) / 2),  # the empty row is not counted
        ("seq-mean-token-mean", {}, (1.5 + 4) / 2),
        ("seq-mean-token-sum-norm", {}, 7.5 / 3),
        ("seq-mean-token-sum-norm", {"horizon": 10}, 0.75),
        ("token-mean", {"total_tokens": 50, "data_parallel": 2}, 15 / 50 * 2),
        ("seq-mean-token-mean", {"total_sequences": 4, "data_parallel": 2}, 5.5 / 4 * 2),
    ],
)
def test_five_modes_by_hand(mode, options, expected):
    assert aggregate(LOSS, MASK, mode, **options).item() == pytest.approx(expected)


def test_nothing_trained_gives_zero_and_masked_infinities_do_not_leak():
    assert aggregate(LOSS, torch.zeros_like(MASK), "token-mean").item() == 0.0
    loss = LOSS.clone()
    loss[0, 2] = torch.inf
    assert aggregate(loss, MASK, "token-mean").item() == pytest.approx(3.0)


def test_several_processes_need_the_total():
    with pytest.raises(ValueError, match="total number of tokens"):
        aggregate(LOSS, MASK, "token-mean", data_parallel=2)
    with pytest.raises(ValueError, match="horizon"):
        sequence_weights(torch.tensor([1, 2]), "seq-mean-token-sum-norm")


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_weights_of_the_means_sum_to_one(lengths):
    counts = torch.tensor(lengths)
    for mode in ("token-mean", "seq-mean-token-mean"):
        total = float((sequence_weights(counts, mode) * counts).sum())
        assert total == pytest.approx(1.0 if sum(lengths) else 0.0)


def test_kl_estimators_by_hand():
    new, reference = torch.tensor(math.log(0.5)), torch.tensor(math.log(0.25))
    d = math.log(2)
    expected = {"k1": d, "abs": d, "k2": d * d / 2, "k3": 0.5 - 1 + d}
    for name, value in expected.items():
        assert kl_divergence(new, reference, name).item() == pytest.approx(value)
        # the other way round
    assert kl_divergence(reference, new, "k3").item() == pytest.approx(2 - 1 - d)
    assert kl_divergence(torch.tensor(-40.0), torch.tensor(0.0), "k3").item() == 10.0


@pytest.mark.parametrize("name", ["k1+", "abs+", "k3+"])
def test_plus_takes_the_value_of_the_one_and_the_gradient_of_k2(name):
    new = torch.tensor([-1.0, -2.0], requires_grad=True)
    reference = torch.tensor([-1.5, -0.5])
    value = kl_divergence(new, reference, name)
    assert torch.equal(value, kl_divergence(new, reference, name[:-1]))
    (gradient,) = torch.autograd.grad(value.sum(), new)
    assert gradient.tolist() == pytest.approx([0.5, -1.5])


def test_k2_gradient_is_unbiased_where_that_of_k3_is_not():
    """Exact expectation over a three-token distribution."""
    logits = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64, requires_grad=True)
    reference = torch.log_softmax(torch.tensor([0.0, 0.5, -0.5], dtype=torch.float64), 0)
    new = torch.log_softmax(logits, 0)
    (true,) = torch.autograd.grad((new.exp() * (new - reference)).sum(), logits, retain_graph=True)
    weights = new.exp().detach()
    found = {}
    for name in ("k2", "k3", "k3+"):
        estimate = (weights * kl_divergence(new, reference, name)).sum()
        (found[name],) = torch.autograd.grad(estimate, logits, retain_graph=True)
    assert torch.allclose(found["k2"], true)
    assert torch.allclose(found["k3+"], true)
    assert not torch.allclose(found["k3"], true)


def test_kl_in_the_reward():
    rewards = kl_in_reward(
        torch.tensor([0.0, 1.0]), torch.tensor([-1.0, -2.0]), torch.tensor([-2.0, -1.0]), 0.1
    )
    assert rewards.tolist() == pytest.approx([-0.1, 1.1])


def test_adaptive_coefficient_is_clipped_and_resumes():
    controller = AdaptiveKL(0.2, target=6.0, horizon=10_000)
    assert controller.update(3.0, 64) == pytest.approx(0.199744)  # −0.2, not −0.5
    assert controller.update(6.0, 64) == pytest.approx(0.199744)
    fresh = AdaptiveKL(0.2, target=6.0, horizon=10_000)
    fresh.load_state_dict(controller.state_dict())
    assert fresh.update(20.0, 256) == pytest.approx(0.199744 * (1 + 0.2 * 0.0256))


def test_value_loss_by_hand():
    values, old = torch.tensor([[1.0, 1.0, 9.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    returns, mask = torch.tensor([[1.0, 3.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    loss, metrics = value_loss(values, old, returns, mask, clip=0.2)
    assert loss.item() == pytest.approx(0.5 * (0.8**2 + 2.0**2) / 2)
    assert metrics["clip_fraction"] == pytest.approx(0.5)
