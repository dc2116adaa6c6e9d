import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from toolwise.learning.losses import (
    CISPOLossConfig,
    ClipCovLossConfig,
    DPPOLossConfig,
    GeoMeanLossConfig,
    GPGLossConfig,
    GSPOLossConfig,
    KLCovLossConfig,
    PolicyLossConfig,
    PPOLossConfig,
    SAPOLossConfig,
    geometric_mean_ratio,
    policy_loss,
    policy_surrogate,
    sequence_log_ratio,
    surrogate_details,
)

TOKEN_CONFIGS = [
    PPOLossConfig(),
    PPOLossConfig(clip_low=0.2, clip_high=0.28, dual_clip=None),
    SAPOLossConfig(),
    CISPOLossConfig(),
    GPGLossConfig(),
    DPPOLossConfig(),
    DPPOLossConfig(divergence="kl", clip_high=0.05),
]


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("ratio", "sign", "expected", "clipped"),
    [
        (1.0, 1, -1.0, False),
        (1.5, 1, -1.2, True),  # a good token is not pushed above 1 + 0.2
        (0.5, 1, -0.5, False),
        (0.5, -1, 0.8, True),  # a bad one not below 1 − 0.2
        (1.5, -1, 1.5, False),
        (5.0, -1, 3.0, False),  # dual clip
    ],
)
def test_ppo_clip_by_hand(ratio, sign, expected, clipped):
    found = surrogate_details(PPOLossConfig(), tensor(math.log(ratio)), sign)
    assert found.loss.item() == pytest.approx(expected)
    assert found.clipped.item() is clipped
    assert found.clipped_lower.item() is (ratio == 5.0)


def test_clip_higher_moves_the_upper_limit_only():
    config = PPOLossConfig(clip_low=0.2, clip_high=0.28)
    assert policy_surrogate(config, tensor(1.0), 1).item() == pytest.approx(-1.28)
    assert policy_surrogate(config, tensor(-1.0), -1).item() == pytest.approx(0.8)


def test_clipped_tokens_have_no_gradient():
    log_ratio = tensor(math.log(1.5), math.log(1.1)).requires_grad_()
    policy_surrogate(PPOLossConfig(), log_ratio, 1).sum().backward()
    assert log_ratio.grad.tolist() == pytest.approx([0.0, -1.1])


def test_sapo_gate_by_hand():
    # 4·σ(0) / τ at ratio 1: value 2/τ, slope 1 in the ratio whatever τ is
    log_ratio = tensor(0.0).requires_grad_()
    loss = policy_surrogate(SAPOLossConfig(), log_ratio, -1)
    loss.backward()
    assert loss.item() == pytest.approx(2 / 1.05)
    assert log_ratio.grad.item() == pytest.approx(1.0)


def test_cispo_keeps_the_gradient_of_clipped_tokens():
    log_probs = tensor(math.log(0.9)).requires_grad_()
    loss = policy_surrogate(CISPOLossConfig(), log_probs - math.log(0.3), 1, log_probs=log_probs)
    loss.backward()
    assert log_probs.grad.item() == pytest.approx(-1.28)
    assert loss.item() == pytest.approx(-1.28 * math.log(0.9))


@pytest.mark.parametrize("config", [CISPOLossConfig(), GPGLossConfig()])
def test_log_ratio_stands_in_for_log_probs_with_the_same_gradient(config):
    log_probs = tensor(-0.1, -2.0).requires_grad_()
    log_ratio = log_probs - tensor(-1.0, -1.0)
    (with_them,) = torch.autograd.grad(
        policy_surrogate(config, log_ratio, 1, log_probs=log_probs).sum(), log_probs
    )
    log_ratio = log_probs - tensor(-1.0, -1.0)
    (without,) = torch.autograd.grad(policy_surrogate(config, log_ratio, 1).sum(), log_probs)
    assert torch.equal(with_them, without)


def test_dppo_needs_probabilities_and_stops_outside_the_trust_region():
    with pytest.raises(ValueError, match="log_probs"):
        policy_surrogate(DPPOLossConfig(), tensor(0.0), 1)
    log_probs = tensor(math.log(0.9), math.log(0.5)).requires_grad_()
    log_ratio = (log_probs - tensor(math.log(0.6), math.log(0.4))).detach()
    found = surrogate_details(DPPOLossConfig(clip_high=0.2), log_ratio, 1, log_probs=log_probs)
    assert found.clipped.tolist() == [True, False]
    found.loss.sum().backward()
    assert log_probs.grad.tolist() == pytest.approx([0.0, -1.25])


def test_a_sign_is_one_or_minus_one():
    with pytest.raises(ValueError, match="not 0"):
        policy_surrogate(PPOLossConfig(), tensor(0.0), 0)


def test_gspo_ratio_is_the_sequence_mean_with_token_gradients():
    log_probs = tensor(-1.0, -2.0, -7.0).requires_grad_()
    old, mask = tensor(-1.2, -2.4, 0.0), tensor(1, 1, 0)
    log_ratio = sequence_log_ratio(log_probs, old, mask)
    assert log_ratio.tolist() == pytest.approx([0.3] * 3)
    (gradient,) = torch.autograd.grad(log_ratio[0], log_probs)
    assert gradient.tolist() == [1.0, 0.0, 0.0]
    assert policy_surrogate(GSPOLossConfig(clip_high=0.2), log_ratio, 1)[0].item() == pytest.approx(-1.2)


def test_geometric_mean_clips_log_ratios_on_the_side_of_the_sign():
    log_ratio, mask = tensor(1.0, 0.1, 9.0), tensor(1, 1, 0)
    config = GeoMeanLossConfig()
    assert geometric_mean_ratio(config, log_ratio, mask, 1).item() == pytest.approx(math.exp(0.25))
    assert geometric_mean_ratio(config, log_ratio, mask, -1).item() == pytest.approx(math.exp(0.55))


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(TOKEN_CONFIGS),
    st.lists(st.tuples(st.floats(-3, -0.01), st.floats(-3, -0.01), st.floats(-2, 2)), min_size=1, max_size=6),
)
def test_sums_of_signed_advantages_equal_the_unshared_batch(config, tokens):
    """One token with A⁺ and A⁻ has the loss and gradient of its copies in several rollouts."""
    new, old, advantage = (tensor(*column) for column in zip(*tokens, strict=True))
    rows = torch.stack([advantage, -0.5 * advantage, advantage - 1])
    log_probs = new.clone().requires_grad_()
    mask = torch.ones_like(rows)
    config = config.model_copy(update={"aggregation": "token-sum"})
    padded, _ = policy_loss(config, log_probs.expand(3, -1), old.expand(3, -1), rows, mask)
    (expected,) = torch.autograd.grad(padded, log_probs)
    log_ratio = log_probs - old
    shared = (
        rows.clamp(min=0).sum(0) * policy_surrogate(config, log_ratio, 1, log_probs=log_probs)
        - rows.clamp(max=0).sum(0) * policy_surrogate(config, log_ratio, -1, log_probs=log_probs)
    ).sum()
    (gradient,) = torch.autograd.grad(shared, log_probs)
    assert torch.allclose(shared, padded)
    assert torch.allclose(gradient, expected)


@pytest.mark.parametrize("config", [*TOKEN_CONFIGS, GSPOLossConfig(), GeoMeanLossConfig(), KLCovLossConfig()])
def test_observations_never_matter(config):
    generator = torch.Generator().manual_seed(1)
    new = (-torch.rand(3, 5, generator=generator, dtype=torch.float64)).requires_grad_()
    old = -torch.rand(3, 5, generator=generator, dtype=torch.float64)
    advantages = torch.randn(3, 1, generator=generator, dtype=torch.float64).expand(3, 5).clone()
    mask = tensor([1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0])
    loss, _ = policy_loss(config, new, old, advantages, mask)
    (gradient,) = torch.autograd.grad(loss, new)
    changed = torch.where(mask > 0, new.detach(), torch.full_like(new, -4.0))
    again, _ = policy_loss(config, changed, old, torch.where(mask > 0, advantages, -advantages), mask)
    assert again.item() == pytest.approx(loss.item())
    assert (gradient[mask == 0] == 0).all()
    assert gradient.abs().sum() > 0


def test_clip_cov_drops_at_most_its_share():
    advantages = torch.linspace(-3, 3, 40, dtype=torch.float64).view(4, 10)
    log_probs = (advantages / 2).requires_grad_()
    mask = torch.ones(4, 10, dtype=torch.float64)
    config = ClipCovLossConfig(fraction=0.1, covariance_low=0.1, covariance_high=5.0)
    generator = torch.Generator().manual_seed(3)
    _, metrics = policy_loss(config, log_probs, log_probs.detach(), advantages, mask, generator=generator)
    assert metrics["clip_fraction"] == pytest.approx(0.1)


def test_kl_cov_penalises_the_token_of_highest_covariance():
    advantages, old = tensor([1.0, -1.0, 0.5, -0.5]), tensor([-1.0, -1.0, -1.0, -1.0])
    log_probs = tensor([-0.5, -1.5, -1.0, -1.0])
    loss, _ = policy_loss(
        KLCovLossConfig(fraction=0.25, coefficient=2.0, aggregation="token-sum"),
        log_probs, old, advantages, torch.ones_like(old),
    )  # fmt: skip
    plain = -(advantages * torch.exp(log_probs - old)).sum()
    assert loss.item() == pytest.approx(plain.item() + 2.0 * 0.5)


def test_configuration_is_chosen_by_type_and_refuses_the_unknown():
    adapter = TypeAdapter(PolicyLossConfig)
    assert adapter.validate_python({"type": "gspo"}) == GSPOLossConfig()
    assert adapter.validate_python({"type": "ppo", "kl": {"coefficient": 0.1}}).kl.estimator == "k3"
    for wrong in (
        {"type": "ppo2"},
        {"type": "ppo", "cliprange": 0.2},
        {"type": "ppo", "dual_clip": 1.0},
        {"type": "gspo", "aggregation": "token-mean"},
        {"type": "ppo", "kl": {"estimator": "k4"}},
    ):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
