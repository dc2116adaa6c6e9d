"""Clipped value loss of PPO's critic."""

from __future__ import annotations

import torch
from torch import Tensor

from toolwise.learning.losses.aggregation import aggregate, masked_mean
from toolwise.learning.losses.config import Aggregation


def value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    clip: float,
    aggregation: Aggregation = "token-mean",
) -> tuple[Tensor, dict[str, float]]:
    """½·max((V − R)², (clip(V, V_old ± clip) − R)²), aggregated.

    Args:
        values: Predictions of the critic, shape (B, L).
        old_values: Predictions when the rollouts were scored, shape (B, L).
        returns: Targets, shape (B, L).
        mask: Trained tokens, shape (B, L).
        clip: How far a prediction may move, ≥ 0.
        aggregation: See `aggregate`.

    Returns:
        Scalar loss and ``clip_fraction``, the share of tokens where the clipped term was larger.
    """
    near = torch.minimum(torch.maximum(values, old_values - clip), old_values + clip)
    free, cut = (values - returns).square(), (near - returns).square()
    loss = 0.5 * aggregate(torch.maximum(free, cut), mask, aggregation)
    return loss, {"clip_fraction": masked_mean((cut > free).float(), mask).item()}
