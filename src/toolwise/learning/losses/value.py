"""Clipped value loss of PPO's critic."""

from __future__ import annotations

import torch
from torch import Tensor

from toolwise.learning.losses.aggregation import aggregate, masked_mean
from toolwise.learning.losses.config import Aggregation


def value_errors(
    values: Tensor, old_values: Tensor, returns: Tensor, clip: float | None
) -> tuple[Tensor, Tensor]:
    """½·max((V − R)², (clip(V, V_old ± clip) − R)²) and where the clipped term is the larger one.

    Args:
        values: Predictions of the critic, any shape.
        old_values: Predictions when the rollouts were scored, same shape.
        returns: Targets, same shape.
        clip: How far a prediction may move before its error no longer counts as smaller, ≥ 0; None: freely.

    Returns:
        Errors, and bools, same shape.
    """
    free = (values - returns).square()
    if clip is None:
        return 0.5 * free, torch.zeros_like(free, dtype=torch.bool)
    near = torch.minimum(torch.maximum(values, old_values - clip), old_values + clip)
    cut = (near - returns).square()
    return 0.5 * torch.maximum(free, cut), cut > free


def value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    clip: float | None,
    aggregation: Aggregation = "token-mean",
) -> tuple[Tensor, dict[str, float]]:
    """`value_errors`, aggregated.

    Args:
        values: Predictions of the critic, shape (B, L).
        old_values: Predictions when the rollouts were scored, shape (B, L).
        returns: Targets, shape (B, L).
        mask: Trained tokens, shape (B, L).
        clip: See `value_errors`.
        aggregation: See `aggregate`.

    Returns:
        Scalar loss and ``clip_fraction``, the share of tokens where the clipped term was larger.
    """
    errors, clipped = value_errors(values, old_values, returns, clip)
    loss = aggregate(errors, mask, aggregation)
    return loss, {"clip_fraction": masked_mean(clipped.float(), mask).item()}
