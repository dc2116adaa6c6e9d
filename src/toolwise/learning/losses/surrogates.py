"""Per-token policy surrogates for an advantage of +1 or −1.

All of them scale with |A|, so that ``A⁺·surrogate(+1) + |A⁻|·surrogate(−1)`` is the loss of a token that
several rollouts share, where A⁺ and A⁻ are its sums of positive and negative advantages.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from toolwise.learning.losses.config import (
    CISPOLossConfig,
    DPPOLossConfig,
    GeoMeanLossConfig,
    GPGLossConfig,
    GSPOLossConfig,
    PPOLossConfig,
    SAPOLossConfig,
    TokenPolicyLossConfig,
)

LOG_RATIO_LIMIT = 20.0
"""Log-ratios are cut to ±20 before they are exponentiated."""
SEQUENCE_LOG_RATIO_LIMIT = 10.0
"""Upper limit of GSPO's log-ratio."""


class Surrogate(NamedTuple):
    """A surrogate loss and what was clipped, each of the shape of the log-ratio.

    Attributes:
        loss: Loss for an advantage of size 1.
        clipped: Where the ratio (or trust region) cut it.
        clipped_lower: Where the dual clip or the truncation did.
    """

    loss: Tensor
    clipped: Tensor
    clipped_lower: Tensor


def policy_surrogate(
    config: TokenPolicyLossConfig, log_ratio: Tensor, sign: int, *, log_probs: Tensor | None = None
) -> Tensor:
    """Loss of each token for an advantage of `sign`.

    Args:
        config: The policy loss.
        log_ratio: log π − log π_old of each token, any shape; for GSPO from `sequence_log_ratio`.
        sign: +1 or −1.
        log_probs: log π of each token, same shape. DPPO needs it. GPG and CISPO, whose loss is a multiple
            of log π, take the log-ratio where it is missing: another value, the same gradient.

    Returns:
        Loss, same shape.

    Raises:
        ValueError: If DPPO is given no `log_probs`, or the sign is neither +1 nor −1.
    """
    return surrogate_details(config, log_ratio, sign, log_probs=log_probs).loss


def surrogate_details(
    config: TokenPolicyLossConfig, log_ratio: Tensor, sign: int, *, log_probs: Tensor | None = None
) -> Surrogate:
    """`policy_surrogate` together with what was clipped, for metrics."""
    if sign not in (1, -1):
        raise ValueError(f"the sign of an advantage is +1 or -1, not {sign}")
    if isinstance(config, GSPOLossConfig):
        ratio = torch.exp(log_ratio.clamp(max=SEQUENCE_LOG_RATIO_LIMIT))
        return _clipped_ratio(ratio, sign, config.clip_low, config.clip_high, None)
    log_ratio = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    ratio = torch.exp(log_ratio)
    never = torch.zeros_like(log_ratio, dtype=torch.bool)
    if isinstance(config, PPOLossConfig):
        return _clipped_ratio(ratio, sign, config.clip_low, config.clip_high, config.dual_clip)
    if isinstance(config, SAPOLossConfig):
        temperature = config.temperature_positive if sign > 0 else config.temperature_negative
        gate = torch.sigmoid(temperature * (ratio - 1)) * (4 / temperature)
        return Surrogate(-sign * gate, never, never)
    target = log_ratio if log_probs is None else log_probs
    if isinstance(config, GPGLossConfig):
        return Surrogate(-sign * target, never, never)
    if isinstance(config, CISPOLossConfig):
        weight = ratio.detach().clamp(1 - config.clip_low, 1 + config.clip_high)
        return Surrogate(-sign * weight * target, ratio.detach() != weight, never)
    if log_probs is None:
        raise ValueError("DPPO compares probabilities: give log_probs")
    return _dppo(config, ratio, log_ratio, sign, log_probs)


def _clipped_ratio(ratio: Tensor, sign: int, low: float, high: float, dual_clip: float | None) -> Surrogate:
    """max(−A·ratio, −A·clip(ratio)) for A = sign, and for A < 0 at most `dual_clip`."""
    free, cut = -sign * ratio, -sign * ratio.clamp(1 - low, 1 + high)
    loss = torch.maximum(free, cut)
    clipped, lower = cut > free, torch.zeros_like(ratio, dtype=torch.bool)
    if sign < 0 and dual_clip is not None:
        lower = loss > dual_clip
        loss = loss.clamp(max=dual_clip)
    return Surrogate(loss, clipped, lower)


def _dppo(
    config: DPPOLossConfig, ratio: Tensor, log_ratio: Tensor, sign: int, log_probs: Tensor
) -> Surrogate:
    with torch.no_grad():
        new, old = log_probs.exp(), (log_probs - log_ratio).exp()
        away = (new - old) * sign
        if config.divergence == "tv":
            divergence = away
        else:
            others = torch.log((1 - old + 1e-8) / (1 - new + 1e-8))
            divergence = old * -log_ratio + (1 - old) * others
        limit = config.clip_high if sign > 0 else config.clip_low
        inside = (divergence <= limit) | (away <= 0)
        weight = ratio.clamp(max=config.truncation) * inside
        lower = (ratio > config.truncation) & inside
    return Surrogate(-sign * weight * log_probs, ~inside, lower)


def sequence_log_ratio(log_probs: Tensor, old_log_probs: Tensor, mask: Tensor) -> Tensor:
    """GSPO's log-ratio: the mean over the sequence in value, the token's own in gradient (eq. 14).

    Args:
        log_probs: log π of each token along a rollout, shape (..., L).
        old_log_probs: log π_old, same shape.
        mask: Trained tokens, same shape.

    Returns:
        Log-ratio, shape (..., L).
    """
    mask = mask.to(log_probs.dtype)
    count = mask.sum(-1, keepdim=True).clamp(min=1)
    mean = ((log_probs - old_log_probs).detach() * mask).sum(-1, keepdim=True) / count
    return mean + (log_probs - log_probs.detach())


def geometric_mean_ratio(
    config: GeoMeanLossConfig, log_ratio: Tensor, mask: Tensor, sign: Tensor | int
) -> Tensor:
    """Geometric mean of the clipped ratios of each sequence (GMPO, eq. 4); the loss is −A times it.

    Args:
        config: The policy loss.
        log_ratio: log π − log π_old along each rollout, shape (..., L).
        mask: Trained tokens, same shape.
        sign: Sign of the advantage of each token, same shape, or one for all. A sequence without a sign
            (all 0) has ratio 1.

    Returns:
        The ratio (not yet multiplied by −A), shape (...,).
    """
    cut = log_ratio.clamp(-config.clip_low, config.clip_high)
    kept = sign * torch.minimum(sign * log_ratio, sign * cut)
    mask = mask.to(log_ratio.dtype)
    return torch.exp((kept * mask).sum(-1) / mask.sum(-1).clamp(min=1))
