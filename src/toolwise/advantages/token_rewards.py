"""Rewards of single tokens: where a rollout's reward falls, and what a penalty takes from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolwise.advantages.credit import Credit, Floats
from toolwise.core import ToolwiseError


def token_rewards(credit: Credit) -> Floats:
    """Reward of each token, shape (L,).

    They are ``reward.tokens``, where the reward has them; else ``reward.turns``, each on the last sampled
    token of its turn; else ``reward.total`` on the last sampled token of all. What falls on a turn in which
    nothing was sampled goes to the last sampled token before it, or to the first of all.

    Raises:
        ToolwiseError: The reward has token or turn values, but not one for each.
    """
    length, reward = len(credit.mask), credit.reward
    if reward.tokens:
        if len(reward.tokens) != length:
            raise ToolwiseError(
                f"{len(reward.tokens)} token rewards for {length} tokens",
                where=f"group '{credit.group}'",
                mend="give one value for each token of the rollout",
            )
        return np.asarray(reward.tokens, dtype=np.float64)
    rewards = np.zeros(length)
    sampled = np.flatnonzero(credit.mask)
    if not len(sampled):
        return rewards
    if not reward.turns:
        rewards[sampled[-1]] = reward.total
        return rewards
    turns = credit.turn[sampled]
    if len(reward.turns) <= turns[-1]:
        raise ToolwiseError(
            f"{len(reward.turns)} turn rewards for {turns[-1] + 1} assistant turns",
            where=f"group '{credit.group}'",
            mend="give one value for each assistant turn",
        )
    last = np.searchsorted(turns, np.arange(len(reward.turns)), side="right") - 1
    np.add.at(rewards, sampled[np.maximum(last, 0)], reward.turns)
    return rewards


def penalised(credit: Credit, penalty: Floats) -> Credit:
    """The credit with a penalty taken from its rewards, token by token, before anything is estimated.

    Args:
        credit: Any.
        penalty: Of each token, shape (L,), such as β·(log π_old − log π_ref); that of unsampled tokens does
            not count.

    Returns:
        ``reward.tokens`` are the token rewards minus the penalty; ``total`` and each of ``turns`` lose the
        sum over their tokens; ``parts`` stay.
    """
    cost = np.where(credit.mask, penalty, 0.0)
    reward = credit.reward
    turns = tuple(
        value - float(cost[credit.turn == number].sum()) for number, value in enumerate(reward.turns)
    )
    tokens = tuple((token_rewards(credit) - cost).tolist())
    total = reward.total - float(cost.sum())
    return replace(credit, reward=replace(reward, total=total, turns=turns, tokens=tokens))
