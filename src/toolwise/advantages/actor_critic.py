"""Generalised advantage estimation: the advantages and the critic's targets of PPO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from toolwise.advantages.credit import Credit, Floats
from toolwise.advantages.normalise import whiten
from toolwise.advantages.returns import generalised_advantages
from toolwise.advantages.token_rewards import token_rewards
from toolwise.core import ToolwiseError


@runtime_checkable
class ActorCriticEstimator(Protocol):
    """An advantage estimator that needs a critic: the credits have its values."""

    def __call__(self, credits: Sequence[Credit]) -> list[Floats]:
        """See `AdvantageEstimator`."""
        ...

    def with_returns(self, credits: Sequence[Credit]) -> tuple[list[Floats], list[Floats]]:
        """Advantages and the critic's targets, for each credit one array of each, shape (L,)."""
        ...


class GAE:
    """GAE (Schulman et al. 2016, eq. 16) along the sampled tokens of each rollout.

    A step is a sampled token; observations are passed over, so that the token that ends a turn is followed by
    the first one of the next turn. The reward of each step is `token_rewards`.

    Args:
        discount: γ in [0, 1].
        decay: λ in [0, 1]; 1 gives the discounted return minus the value.
        whitening: Whether advantages are whitened over the sampled tokens of the batch. The critic's targets
            are advantage + value before that.
    """

    def __init__(self, discount: float = 1.0, decay: float = 1.0, whitening: bool = True) -> None:
        self.discount, self.decay, self.whitening = discount, decay, whitening

    def __call__(self, credits: Sequence[Credit]) -> list[Floats]:
        """Token advantages, see `AdvantageEstimator`.

        Raises:
            ToolwiseError: A credit has no values.
        """
        return self.with_returns(credits)[0]

    def with_returns(self, credits: Sequence[Credit]) -> tuple[list[Floats], list[Floats]]:
        """Advantages and the critic's targets (0 where a token was not sampled).

        Raises:
            ToolwiseError: A credit has no values.
        """
        if not credits:
            return [], []
        # Sampled tokens only, side by side: a walk over all rollouts at once.
        longest = max(credit.length for credit in credits)
        rewards, values, mask = (np.zeros((len(credits), longest)) for _ in range(3))
        for row, credit in enumerate(credits):
            if credit.values is None:
                raise ToolwiseError(
                    "GAE needs a critic's values, and there are none",
                    where="advantage",
                    mend="give the run a critic, or take an advantage that needs none, such as grpo",
                )
            rewards[row, : credit.length] = token_rewards(credit)[credit.mask]
            values[row, : credit.length] = credit.values[credit.mask]
            mask[row, : credit.length] = 1.0
        gains, targets = generalised_advantages(rewards, values, mask, self.discount, self.decay)
        advantages, returns = _spread(gains, credits), _spread(targets, credits)
        if self.whitening:
            advantages = whiten(advantages, [credit.mask for credit in credits])
        return advantages, returns


def _spread(rows: Floats, credits: Sequence[Credit]) -> list[Floats]:
    """Back to the places of the sampled tokens."""
    found = []
    for row, credit in zip(rows, credits, strict=True):
        full = np.zeros(len(credit.mask))
        full[credit.mask] = row[: credit.length]
        found.append(full)
    return found
