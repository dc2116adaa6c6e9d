"""A test double of a reward: what a model of random weights says is right as often as not."""

from __future__ import annotations

from toolwise.core import Reward


def even(task, rollouts):
    """Right is an answer of an even number of characters."""
    found = []
    for rollout in rollouts:
        right = len(rollout.turns[-1].content or rollout.turns[-1].text) % 2 == 0
        found.append(Reward(float(right), {"correct": float(right)}))
    return found
