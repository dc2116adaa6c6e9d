"""GAE along sampled tokens, where rewards fall, and penalties in the reward."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolwise.advantages import (
    GAE,
    ActorCriticEstimator,
    Credit,
    GAEConfig,
    GRPOConfig,
    TermsConfig,
    build_advantage,
    penalised,
    token_rewards,
)
from toolwise.core import Reward, ToolwiseError


def credit(reward, turn, values=None, sampled=None):
    """A rollout from the turn of each token (−1: prompt or observation)."""
    turn = np.array(turn)
    mask = turn >= 0 if sampled is None else np.array(sampled, dtype=bool)
    values = None if values is None else np.array(values, dtype=float)
    return Credit("g", reward, mask, turn, np.arange(len(turn)), "t", values)


def test_a_worked_example_with_an_observation():
    # Sampled: places 1, 2 and 4; γ = 0.9, λ = 0.5; reward 2 at the end; values of the others are never read.
    one = credit(Reward(2.0), [-1, 0, 0, -1, 1], values=[99, 1.0, 0.5, 99, 0.8])
    (advantages,), (returns,) = GAE(0.9, 0.5, whitening=False).with_returns([one])
    last = 2.0 - 0.8
    middle = 0.9 * 0.8 - 0.5 + 0.45 * last
    first = 0.9 * 0.5 - 1.0 + 0.45 * middle
    assert advantages == pytest.approx([0, first, middle, 0, last])
    assert returns == pytest.approx([0, first + 1.0, middle + 0.5, 0, last + 0.8])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), discount=st.sampled_from([1.0, 0.9, 0.0]))
def test_at_lambda_1_the_target_is_the_discounted_return_and_at_0_one_step(seed, discount):
    rng = np.random.default_rng(seed)
    credits = []
    for _ in range(int(rng.integers(1, 5))):
        length = int(rng.integers(1, 9))
        tokens = tuple(rng.normal(size=length))
        sampled = rng.random(length) < 0.6
        credits.append(credit(Reward(0.0, tokens=tokens), [0] * length, rng.normal(size=length), sampled))
    full = GAE(discount, 1.0, whitening=False).with_returns(credits)[1]
    single = GAE(discount, 0.0, whitening=False).with_returns(credits)[0]
    for one, returns, advantages in zip(credits, full, single, strict=True):
        places = np.flatnonzero(one.mask)
        rewards, values = np.array(one.reward.tokens)[places], one.values[places]
        following = 0.0
        for index in reversed(range(len(places))):
            following = rewards[index] + discount * following
            after = values[index + 1] if index + 1 < len(places) else 0.0
            assert returns[places[index]] == pytest.approx(following)
            assert advantages[places[index]] == pytest.approx(
                rewards[index] + discount * after - values[index]
            )
        assert not np.any(returns[~one.mask])
        assert not np.any(advantages[~one.mask])


def test_whitening_is_over_the_sampled_tokens_of_the_batch_and_leaves_the_targets():
    credits = [
        credit(Reward(1.0), [-1, 0, 0], values=[5, 0.1, 0.4]),
        credit(Reward(0.0), [-1, 0, -1, 1], values=[5, 0.3, 5, 0.2]),
    ]
    estimator = build_advantage(GAEConfig())
    assert isinstance(estimator, ActorCriticEstimator)
    assert not isinstance(build_advantage(GRPOConfig()), ActorCriticEstimator)
    raw, targets = GAE(whitening=False).with_returns(credits)
    white, same = estimator.with_returns(credits)
    kept = np.concatenate([array[one.mask] for array, one in zip(white, credits, strict=True)])
    assert kept.mean() == pytest.approx(0, abs=1e-6)
    assert kept.std(ddof=1) == pytest.approx(1, abs=1e-6)
    assert [list(array) for array in same] == [list(array) for array in targets]
    assert all(np.any(array) for array in raw)
    assert [list(array) for array in estimator(credits)] == [list(array) for array in white]
    assert estimator.with_returns([]) == ([], [])


def test_without_values_it_says_that_a_critic_is_missing():
    with pytest.raises(ToolwiseError, match="needs a critic's values"):
        GAE()([credit(Reward(1.0), [-1, 0])])


def test_rewards_of_turns_fall_on_the_last_sampled_token_of_each():
    turns = [-1, 0, 0, -1, 1, -1, 2, 2]
    assert token_rewards(credit(Reward(9.0), turns)).tolist() == [0, 0, 0, 0, 0, 0, 0, 9]
    by_turn = Reward(9.0, turns=(1.0, 2.0, 3.0))
    assert token_rewards(credit(by_turn, turns)).tolist() == [0, 0, 1, 0, 2, 0, 0, 3]
    # Nothing was sampled in the second turn: what falls on it goes to the token before.
    empty = credit(by_turn, [-1, 0, 0, -1, -1, 2])
    assert token_rewards(empty).tolist() == [0, 0, 3, 0, 0, 3]
    late = credit(by_turn, [-1, 1, 2])
    assert token_rewards(late).tolist() == [0, 3, 3]
    trailing = credit(by_turn, [-1, 0])
    assert token_rewards(trailing).tolist() == [0, 6]
    assert token_rewards(credit(by_turn, [-1, -1])).tolist() == [0, 0]
    with pytest.raises(ToolwiseError, match="1 turn rewards for 3 assistant turns"):
        token_rewards(credit(Reward(0.0, turns=(1.0,)), turns))
    tokens = tuple(float(place) for place in range(8))
    assert token_rewards(credit(Reward(1.0, turns=(1.0,), tokens=tokens), turns)).tolist() == list(tokens)


def test_a_penalty_is_taken_from_tokens_turns_and_total():
    reward = Reward(2.0, {"correct": 1.0}, turns=(0.5, 1.5))
    penalty = np.array([7.0, 0.1, 0.2, 7.0, 0.4])
    found = penalised(credit(reward, [-1, 0, 0, -1, 1]), penalty).reward
    assert found.tokens == pytest.approx((0, -0.1, 0.3, 0, 1.1))
    assert found.turns == pytest.approx((0.2, 1.1))
    assert found.total == pytest.approx(1.3)
    assert found.parts == {"correct": 1.0}


def test_grpo_sees_the_total_less_the_penalties_of_its_tokens():
    group = [credit(Reward(1.0), [-1, 0, 0]), credit(Reward(1.0), [-1, 0])]
    costs = [np.array([0, 0.1, 0.3]), np.array([0, 0.2])]
    paid = [penalised(one, cost) for one, cost in zip(group, costs, strict=True)]
    centred = build_advantage(TermsConfig(terms=({},)))(paid)
    assert centred[0][1:] == pytest.approx([-0.1, -0.1])
    assert centred[1][1:] == pytest.approx([0.1])
