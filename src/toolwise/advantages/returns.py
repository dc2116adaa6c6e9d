"""Estimators that walk along the tokens: discounted returns, ReMax, GAE, optimal token baselines.

Arrays are padded: B rows of L response tokens, mask 1 on sampled tokens and 0 on observations and padding.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from toolwise.advantages.credit import Floats
from toolwise.advantages.normalise import members


def discounted_returns(rewards: Floats, mask: Floats, discount: float) -> Floats:
    """Discounted sum of rewards from each sampled token on; observations are passed over.

    Args:
        rewards: Token rewards, shape (..., L); those of unsampled tokens are not counted.
        mask: Sampled tokens, same shape.
        discount: γ in [0, 1], a sampled token.

    Returns:
        Returns, same shape, 0 on unsampled tokens.
    """
    running = np.zeros(rewards.shape[:-1])
    returns = np.zeros(rewards.shape)
    for step in reversed(range(rewards.shape[-1])):
        sampled = mask[..., step] > 0
        running = np.where(sampled, rewards[..., step] + discount * running, running)
        returns[..., step] = np.where(sampled, running, 0.0)
    return returns


def remax_advantages(rewards: Floats, baselines: Floats, mask: Floats) -> tuple[Floats, Floats]:
    """Return to go minus the reward of the greedy rollout (ReMax, arXiv 2310.10505).

    Args:
        rewards: Token rewards, shape (B, L).
        baselines: Reward of the greedy rollout of each row's task, shape (B,).
        mask: Sampled tokens, shape (B, L).

    Returns:
        Advantages and returns, shape (B, L); advantages are 0 where `mask` is.
    """
    returns = _return_to_go(rewards, mask)
    return (returns - baselines[:, None]) * mask, returns


def generalised_advantages(
    rewards: Floats, values: Floats, mask: Floats, discount: float, decay: float
) -> tuple[Floats, Floats]:
    """GAE (Schulman et al. 2016, eq. 16) along sampled tokens; observations are passed over. Not whitened.

    Args:
        rewards: Token rewards, shape (..., L).
        values: The critic's values before each token, same shape.
        mask: Sampled tokens, same shape.
        discount: γ in [0, 1].
        decay: λ in [0, 1].

    Returns:
        Advantages (0 where `mask` is) and returns, the critic's targets (advantage + value), same shape.
    """
    following, running = np.zeros(rewards.shape[:-1]), np.zeros(rewards.shape[:-1])
    advantages = np.zeros(rewards.shape)
    for step in reversed(range(rewards.shape[-1])):
        sampled = mask[..., step] > 0
        error = rewards[..., step] + discount * following - values[..., step]
        running = np.where(sampled, error + discount * decay * running, running)
        following = np.where(sampled, values[..., step], following)
        advantages[..., step] = np.where(sampled, running, 0.0)
    return advantages, advantages + values


def optimal_token_baseline(
    rewards: Floats,
    mask: Floats,
    groups: Sequence[Hashable],
    log_probs: Floats,
    squared_probs: Floats,
    *,
    by_sampled_token: bool = False,
    epsilon: float = 1e-8,
) -> tuple[Floats, Floats]:
    """Return to go minus a baseline for each step of the group that minimises the variance.

    The baseline of a step is the mean return of the group there, weighted with the summed squared gradient
    norms so far, 1 − 2π + Σπ² a token. A row alone has baseline 0, and so has the longest row of a group
    where all others have ended.

    Args:
        rewards: Token rewards, shape (B, L).
        mask: Sampled tokens, shape (B, L).
        groups: Group of each row, length B.
        log_probs: Log-probability of each token when it was sampled, shape (B, L).
        squared_probs: Σπ² over the vocabulary at each token, shape (B, L).
        by_sampled_token: Whether steps count sampled tokens only, instead of positions.
        epsilon: Added to the sum of weights.

    Returns:
        Advantages (0 where `mask` is) and returns, shape (B, L).
    """
    returns = _return_to_go(rewards, mask)
    weights = np.cumsum((1 - 2 * np.exp(log_probs) + squared_probs) * mask, axis=-1)
    if by_sampled_token:  # move the sampled tokens of each row to its front
        order = np.argsort(mask <= 0, axis=-1, kind="stable")
        gains, sums, kept = (np.take_along_axis(array, order, axis=-1) for array in (returns, weights, mask))
        moved = gains - _baselines(gains, sums, kept, groups, epsilon)
        advantages = np.zeros_like(moved)
        np.put_along_axis(advantages, order, moved, axis=-1)
    else:
        advantages = returns - _baselines(returns, weights, mask, groups, epsilon)
    return advantages * mask, returns


def _baselines(
    returns: Floats, weights: Floats, mask: Floats, groups: Sequence[Hashable], epsilon: float
) -> Floats:
    own, sizes = members(groups)
    baselines = np.zeros_like(returns)
    for number in np.flatnonzero(sizes > 1):
        rows = np.flatnonzero(own == number)
        weight = weights[rows] * mask[rows]
        baselines[rows] = (returns[rows] * weight).sum(0) / (weight.sum(0) + epsilon)
        lengths = mask[rows].sum(-1).astype(int)
        second, longest = np.sort(lengths)[-2:]
        if longest > second:
            baselines[rows[np.argmax(lengths)], second:] = 0.0
    return baselines


def _return_to_go(rewards: Floats, mask: Floats) -> Floats:
    return np.cumsum((rewards * mask)[..., ::-1], axis=-1)[..., ::-1]
