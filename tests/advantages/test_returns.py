import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolwise.advantages import (
    discounted_returns,
    generalised_advantages,
    optimal_token_baseline,
    remax_advantages,
    whiten,
)

MASK = np.array([[1.0, 0.0, 1.0]])


def test_discounted_returns_by_hand():
    rewards = np.array([[1.0, 7.0, 4.0]])  # the 7 stands on an observation
    assert discounted_returns(rewards, MASK, 0.5).tolist() == [[3.0, 0.0, 4.0]]


def test_gae_by_hand():
    rewards, values = np.array([[0.0, 0.0, 1.0]]), np.array([[0.5, 9.0, 0.25]])
    advantages, returns = generalised_advantages(rewards, values, MASK, 0.9, 0.8)
    last = 1 - 0.25
    early = 0.9 * 0.25 - 0.5 + 0.9 * 0.8 * last
    assert advantages[MASK > 0] == pytest.approx([early, last])
    assert returns[MASK > 0] == pytest.approx([early + 0.5, 1.0])


ROWS = st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.booleans()), min_size=1, max_size=8)


@given(ROWS)
def test_gae_without_discount_is_the_return_minus_the_value(rows):
    rewards, values, mask = (np.array([column], dtype=float) for column in zip(*rows, strict=True))
    advantages, returns = generalised_advantages(rewards, values, mask, 1.0, 1.0)
    expected = discounted_returns(rewards, mask, 1.0)
    assert returns[mask > 0] == pytest.approx(expected[mask > 0], abs=1e-9)
    assert advantages == pytest.approx((expected - values) * mask, abs=1e-9)


@given(ROWS, st.floats(0, 1), st.floats(0, 1))
def test_observations_change_nothing(rows, discount, decay):
    rewards, values, mask = (np.array([column], dtype=float) for column in zip(*rows, strict=True))
    kept = mask > 0
    with_holes, _ = generalised_advantages(rewards, values, mask, discount, decay)
    dense, _ = generalised_advantages(
        rewards[kept][None], values[kept][None], mask[kept][None], discount, decay
    )
    assert with_holes[kept] == pytest.approx(dense[0])


def test_remax_by_hand():
    advantages, returns = remax_advantages(np.array([[0.0, 0.0, 1.0]]), np.array([0.25]), MASK)
    assert advantages.tolist() == [[0.75, 0.0, 0.75]]
    assert returns.tolist() == [[1.0, 1.0, 1.0]]


def test_optimal_baseline_is_the_weighted_mean_and_ends_with_the_second_longest():
    rewards = np.array([[0.0, 0.0, 1.0], [0.0, 0.5, 0.0]])
    mask = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    log_probs, squared = np.zeros((2, 3)), np.full((2, 3), 2.0)  # each step weighs 1 − 2 + 2 = 1
    advantages, _ = optimal_token_baseline(rewards, mask, ["g", "g"], log_probs, squared)
    assert advantages == pytest.approx(np.array([[0.25, 0.25, 1.0], [-0.25, -0.25, 0.0]]), abs=1e-6)
    alone, _ = optimal_token_baseline(rewards, mask, ["a", "b"], log_probs, squared)
    assert alone.tolist() == [[1, 1, 1], [0.5, 0.5, 0]]


def test_steps_by_sampled_token_skip_the_holes():
    rewards = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.5]])
    mask = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    log_probs, squared = np.zeros((2, 3)), np.full((2, 3), 2.0)
    advantages, _ = optimal_token_baseline(
        rewards, mask, ["g", "g"], log_probs, squared, by_sampled_token=True
    )
    assert advantages == pytest.approx(np.array([[0.25, 0.25, 0.0], [-0.25, 0.0, -0.25]]), abs=1e-6)


def test_whitening_few_tokens_gives_zero():
    values, mask = [np.array([3.0, 9.0])], [np.array([True, False])]
    assert whiten(values, mask)[0].tolist() == [0.0, 0.0]
