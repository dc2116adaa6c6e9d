import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from toolwise.learning.losses import DPOLossConfig, dpo_losses

RATIOS = st.floats(-20, 20)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("beta", "smoothing", "chosen", "rejected", "expected"),
    [
        (0.1, 0.0, 0.0, 0.0, math.log(2)),
        (0.1, 0.0, 2.0, -1.0, math.log1p(math.exp(-0.3))),  # 0.554355
        (0.1, 0.0, -1.0, 2.0, math.log1p(math.exp(0.3))),  # 0.854355
        (0.5, 0.0, 2.0, -1.0, math.log1p(math.exp(-1.5))),
        (0.1, 0.1, 2.0, -1.0, 0.9 * math.log1p(math.exp(-0.3)) + 0.1 * math.log1p(math.exp(0.3))),
    ],
)
def test_dpo_by_hand(beta, smoothing, chosen, rejected, expected):
    config = DPOLossConfig(beta=beta, label_smoothing=smoothing)
    assert dpo_losses(config, tensor(chosen), tensor(rejected)).item() == pytest.approx(expected, abs=1e-12)


@given(RATIOS, RATIOS, st.sampled_from([0.05, 0.1, 1.0]))
def test_the_gradient_is_that_of_equation_seven(chosen, rejected, beta):
    one, other = tensor(chosen).requires_grad_(), tensor(rejected).requires_grad_()
    dpo_losses(DPOLossConfig(beta=beta), one, other).sum().backward()
    weight = beta / (1 + math.exp(beta * (chosen - rejected)))  # β·σ(r̂_l − r̂_w)
    assert one.grad.item() == pytest.approx(-weight, abs=1e-12)
    assert other.grad.item() == pytest.approx(weight, abs=1e-12)


@given(RATIOS, RATIOS)
def test_only_the_difference_of_the_two_counts(chosen, rejected):
    config = DPOLossConfig(label_smoothing=0.2)
    shifted = dpo_losses(config, tensor(chosen + 3.0), tensor(rejected + 3.0))
    torch.testing.assert_close(dpo_losses(config, tensor(chosen), tensor(rejected)), shifted)


def test_smoothing_finds_its_minimum_where_the_odds_say():
    # With a share ε of wrong labels the best margin m has σ(m) = 1 − ε.
    margin = tensor(math.log(0.8 / 0.2) / 0.1).requires_grad_()
    dpo_losses(DPOLossConfig(label_smoothing=0.2), margin, tensor(0.0)).sum().backward()
    assert margin.grad.item() == pytest.approx(0.0, abs=1e-12)


def test_ranges():
    for wrong in ({"beta": 0.0}, {"label_smoothing": 0.5}, {"gamma": 1}):
        with pytest.raises(ValidationError):
            DPOLossConfig(**wrong)
