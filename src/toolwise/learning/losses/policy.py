"""Whole-array policy losses on padded batches: the reference that the packed learner must equal."""

from __future__ import annotations

import torch
from torch import Tensor

from toolwise.learning.losses.aggregation import aggregate, masked_mean
from toolwise.learning.losses.config import (
    ClipCovLossConfig,
    DROLossConfig,
    GeoMeanLossConfig,
    GPGLossConfig,
    GSPOLossConfig,
    KLCovLossConfig,
    PolicyLossConfig,
    PPOLossConfig,
    TokenPolicyLossConfig,
)
from toolwise.learning.losses.covariance import clip_cov_losses, kl_cov_losses
from toolwise.learning.losses.surrogates import (
    LOG_RATIO_LIMIT,
    geometric_mean_ratio,
    sequence_log_ratio,
    surrogate_details,
)

Metrics = dict[str, float]


def policy_loss(
    config: PolicyLossConfig,
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    importance_weights: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Metrics]:
    """Policy loss of a padded batch, without KL penalty and entropy bonus.

    Args:
        config: Which loss, and how it is aggregated.
        log_probs: log π of each response token, shape (B, L).
        old_log_probs: log π when it was sampled, shape (B, L).
        advantages: Shape (B, L).
        mask: 1 on trained tokens, shape (B, L).
        importance_weights: Factor of each token's loss (sampler against trainer), shape (B, L).
        generator: Chooses the tokens that Clip-Cov drops.

    Returns:
        Scalar loss and metrics: ``kl`` to the sampling policy (k1; for KL-Cov the mean |log-ratio|), and
        where the loss clips ``clip_fraction`` and ``clip_fraction_lower``.
    """
    log_ratio = log_probs - old_log_probs
    limited = log_ratio.detach().clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    metrics = {"kl": masked_mean(-limited, mask).item()}
    if isinstance(config, GeoMeanLossConfig):
        return _geometric_mean(config, log_ratio, advantages, mask, importance_weights, metrics)
    if isinstance(config, ClipCovLossConfig):
        losses, dropped = clip_cov_losses(config, log_probs, old_log_probs, advantages, mask, generator)
        metrics["clip_fraction"] = masked_mean(dropped.float(), mask).item()
    elif isinstance(config, KLCovLossConfig):
        losses = kl_cov_losses(config, log_probs, old_log_probs, advantages, mask)
        metrics["kl"] = masked_mean(log_ratio.detach().abs(), mask).item()
    elif isinstance(config, DROLossConfig):
        losses = -advantages * log_probs + 0.5 * config.beta * log_ratio.square()
    else:
        losses, found = _token_losses(config, log_probs, old_log_probs, advantages, mask)
        metrics |= found
    if importance_weights is not None:
        losses = losses * importance_weights
    return aggregate(losses, mask, config.aggregation, horizon=config.horizon), metrics


def _token_losses(
    config: TokenPolicyLossConfig, log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor
) -> tuple[Tensor, Metrics]:
    """A⁺·surrogate(+1) + |A⁻|·surrogate(−1), as the packed learner does it."""
    if isinstance(config, GSPOLossConfig):
        log_ratio = sequence_log_ratio(log_probs, old_log_probs, mask)
    else:
        log_ratio = log_probs - old_log_probs
    up = surrogate_details(config, log_ratio, 1, log_probs=log_probs)
    down = surrogate_details(config, log_ratio, -1, log_probs=log_probs)
    losses = advantages.clamp(min=0) * up.loss - advantages.clamp(max=0) * down.loss
    if isinstance(config, GPGLossConfig):
        return losses, {}
    clipped = torch.where(advantages > 0, up.clipped, down.clipped)
    if isinstance(config, PPOLossConfig | GSPOLossConfig):
        clipped &= advantages != 0  # nothing to clip
    lower = torch.where(advantages > 0, up.clipped_lower, down.clipped_lower)
    return losses, {
        "clip_fraction": masked_mean(clipped.float(), mask).item(),
        "clip_fraction_lower": masked_mean(lower.float(), mask).item(),
    }


def _geometric_mean(
    config: GeoMeanLossConfig,
    log_ratio: Tensor,
    advantages: Tensor,
    mask: Tensor,
    importance_weights: Tensor | None,
    metrics: Metrics,
) -> tuple[Tensor, Metrics]:
    """Mean over all rows, empty ones included, of −(mean advantage)·(geometric mean ratio)."""
    mask = mask.to(log_ratio.dtype)
    counts = mask.sum(-1).clamp(min=1)
    ratio = geometric_mean_ratio(config, log_ratio, mask, advantages.sign())
    losses = -((advantages * mask).sum(-1) / counts) * ratio
    if importance_weights is not None:
        logs = torch.log(importance_weights + 1e-10) * mask
        losses = losses * torch.exp(logs.sum(-1) / counts)
    cut = (log_ratio < -config.clip_low) | (log_ratio > config.clip_high)
    metrics["clip_fraction"] = masked_mean((cut & (advantages > 0)).float(), mask).item()
    metrics["clip_fraction_lower"] = masked_mean((cut & (advantages < 0)).float(), mask).item()
    return losses.mean(), metrics
