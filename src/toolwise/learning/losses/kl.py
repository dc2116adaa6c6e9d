"""KL estimators from log-probabilities of sampled tokens, and the adaptive coefficient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from toolwise.learning.losses.config import KLEstimator


def kl_divergence(log_probs: Tensor, ref_log_probs: Tensor, estimator: KLEstimator) -> Tensor:
    """KL(π‖π_ref) estimated at each sampled token (Schulman 2020, "Approximating KL divergence").

    With d = log π − log π_ref: ``k1`` = d; ``abs`` = |d|; ``k2`` = d²/2; ``k3`` = exp(−d) − 1 + d, with d cut
    to ±20 and the result to ±10. ``k1+``, ``abs+`` and ``k3+`` have the named value and the gradient of k2,
    whose expectation is the gradient of the true KL.

    Args:
        log_probs: log π, any shape.
        ref_log_probs: log π_ref, same shape.
        estimator: Which one.

    Returns:
        Estimates, same shape, nats.
    """
    difference = log_probs - ref_log_probs
    k2 = difference.square() / 2
    base = estimator.removesuffix("+")
    if base == "k1":
        value = difference
    elif base == "abs":
        value = difference.abs()
    elif base == "k2":
        value = k2
    else:
        cut = difference.clamp(-20, 20)
        value = (torch.exp(-cut) - 1 + cut).clamp(-10, 10)
    if estimator.endswith("+"):
        return value.detach() + (k2 - k2.detach())
    return value


def kl_in_reward(
    token_rewards: Tensor, old_log_probs: Tensor, ref_log_probs: Tensor, coefficient: float
) -> Tensor:
    """Token rewards minus coefficient × k1, before credit assignment; all tensors of one shape."""
    return token_rewards - coefficient * kl_divergence(old_log_probs, ref_log_probs, "k1")


@dataclass
class AdaptiveKL:
    """Coefficient that keeps the KL near a target (Ziegler et al. 2019, §2.2).

    Attributes:
        coefficient: Its current value.
        target: The KL it steers to, nats, > 0.
        horizon: Number of samples over which it may change by its full rate, > 0.
    """

    coefficient: float
    target: float
    horizon: float

    def update(self, kl: float, samples: int) -> float:
        """Multiply by 1 + clip(kl/target − 1, ±0.2)·samples/horizon and return the new coefficient."""
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        self.coefficient *= 1 + error * samples / self.horizon
        return self.coefficient

    def state_dict(self) -> dict[str, float]:
        """What a checkpoint must keep."""
        return {"coefficient": self.coefficient}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Inverse of `state_dict`."""
        self.coefficient = state["coefficient"]
