"""Credit: what an advantage estimator knows of one rollout, and the protocol of estimators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from toolwise.core import Reward, Rollout

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Credit:
    """One rollout with its reward, as arrays along its whole path of L tokens.

    Attributes:
        group: Key of the group it is compared with.
        reward: What it was worth.
        mask: Tokens that the policy sampled, shape (L,).
        turn: Index of the assistant turn at each token (0 for the first), −1 elsewhere, shape (L,).
        node: Index in the tree of the turn that holds each token, shape (L,).
        tree: Key of the tree it is from; nodes of equal index in one tree are the same turn.
        values: The critic's value before each token, shape (L,); only those of sampled tokens mean anything.
            None without a critic.
    """

    group: str
    reward: Reward
    mask: Mask
    turn: Integers
    node: Integers
    tree: str
    values: Floats | None = None

    @property
    def length(self) -> int:
        """Number of sampled tokens."""
        return int(self.mask.sum())


def credit_of(rollout: Rollout, reward: Reward, tree: str, values: Floats | None = None) -> Credit:
    """The credit of a rollout.

    Args:
        rollout: A path of a tree.
        reward: Its reward.
        tree: A key that only the rollouts of this tree share.
        values: The critic's, where there is one, shape (L,).
    """
    lengths = [len(turn.token_ids) for turn in rollout.turns]
    numbers, count = [], 0
    for turn in rollout.turns:
        numbers.append(count if turn.role == "assistant" else -1)
        count += turn.role == "assistant"
    return Credit(
        group=rollout.group,
        reward=reward,
        mask=np.repeat([turn.sampled for turn in rollout.turns], lengths).astype(bool),
        turn=np.repeat(numbers, lengths).astype(np.int64),
        node=np.repeat(rollout.path, lengths).astype(np.int64),
        tree=tree,
        values=values,
    )


class AdvantageEstimator(Protocol):
    """Turns rewards into token advantages; it sees the whole batch, before anything is filtered."""

    def __call__(self, credits: Sequence[Credit]) -> list[Floats]:
        """One array for each credit, shape (L,), 0 where its mask is False."""
        ...
