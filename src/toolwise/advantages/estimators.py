"""Estimators that are no sum of terms: REINFORCE++ with discount, GRPO for pass@k, GPG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolwise.advantages.credit import Credit, Floats
from toolwise.advantages.normalise import Normaliser, members, whiten
from toolwise.advantages.returns import discounted_returns
from toolwise.advantages.terms import Term, TermsEstimator
from toolwise.advantages.token_rewards import token_rewards
from toolwise.core import ToolwiseError


class ReinforcePlusPlus:
    """Discounted return of each token, whitened over the batch (arXiv 2501.03262).

    Args:
        discount: γ in [0, 1], a sampled token; observations are passed over.
    """

    def __init__(self, discount: float = 1.0) -> None:
        self.discount = discount

    def __call__(self, credits: Sequence[Credit]) -> list[Floats]:
        """Token advantages, see `AdvantageEstimator`."""
        returns = [
            discounted_returns(token_rewards(credit), credit.mask.astype(np.float64), self.discount)
            for credit in credits
        ]
        return whiten(returns, [credit.mask for credit in credits])


class PassAtK:
    """The best rollout of a group gets its lead over the second, all others 0 (arXiv 2503.19595).

    Args:
        divide_by_std: Whether the lead is divided by the group's sample std + ε.
        epsilon: ε.
    """

    def __init__(self, divide_by_std: bool = True, epsilon: float = 1e-6) -> None:
        self.divide_by_std, self.epsilon = divide_by_std, epsilon

    def __call__(self, credits: Sequence[Credit]) -> list[Floats]:
        """Token advantages, see `AdvantageEstimator`. The first of equally good rollouts is the best.

        Raises:
            ToolwiseError: If a group has only one rollout.
        """
        groups = [credit.group for credit in credits]
        own, sizes = members(groups)
        scores = np.array([credit.reward.total for credit in credits], dtype=np.float64)
        advantages = [np.zeros(len(credit.mask)) for credit in credits]
        for number, size in enumerate(sizes):
            rows = np.flatnonzero(own == number)
            if size < 2:
                raise ToolwiseError(
                    "pass@k compares the best rollout with the second, and there is only one",
                    where=f"group '{groups[rows[0]]}'",
                    mend="sample at least 2 rollouts a task",
                )
            second, best = np.sort(scores[rows])[-2:]
            lead = best - second
            if self.divide_by_std:
                lead /= scores[rows].std(ddof=1) + self.epsilon
            winner = rows[np.argmax(scores[rows])]
            advantages[winner][credits[winner].mask] = lead
        return advantages


class GPG:
    """Group-centred rewards, scaled up by batch size / number of non-zero rewards (arXiv 2504.02546)."""

    def __init__(self) -> None:
        self._centred = TermsEstimator([Term(normaliser=Normaliser())])

    def __call__(self, credits: Sequence[Credit]) -> list[Floats]:
        """Token advantages, see `AdvantageEstimator`."""
        useful = sum(credit.reward.total != 0 for credit in credits)
        factor = len(credits) / max(1, useful)
        return [factor * advantage for advantage in self._centred(credits)]
