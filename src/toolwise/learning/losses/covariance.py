"""Clip-Cov and KL-Cov: hold entropy by treating tokens of high covariance apart (arXiv 2505.22617).

The covariance of a token is (log π − mean log π)·(A − mean A), means over the trained tokens of the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from toolwise.learning.losses.aggregation import masked_mean
from toolwise.learning.losses.config import ClipCovLossConfig, KLCovLossConfig


def token_covariance(log_probs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """Covariance of each token, shape of the arguments; −inf where `mask` is 0. No gradient."""
    log_probs = log_probs.detach()
    product = (log_probs - masked_mean(log_probs, mask)) * (advantages - masked_mean(advantages, mask))
    return torch.where(mask > 0, product, torch.full_like(product, -torch.inf))


def clip_cov_losses(
    config: ClipCovLossConfig,
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Clipped surrogate of each token, 0 on a random choice of those with covariance in the open interval.

    Args:
        config: Limits.
        log_probs: log π, shape (B, L).
        old_log_probs: log π_old, shape (B, L).
        advantages: Shape (B, L).
        mask: Trained tokens, shape (B, L).
        generator: Chooses the dropped tokens.

    Returns:
        Losses and the dropped tokens (bool), both shape (B, L).
    """
    ratio = torch.exp(log_probs - old_log_probs)
    free = -advantages * ratio
    cut = -advantages * ratio.clamp(1 - config.clip_low, 1 + config.clip_high)
    covariance = token_covariance(log_probs, advantages, mask)
    candidates = (covariance > config.covariance_low) & (covariance < config.covariance_high) & ~(cut > free)
    places = candidates.flatten().nonzero().squeeze(-1)
    allowed = max(int(config.fraction * float(mask.sum())), 1)
    order = torch.randperm(len(places), generator=generator)[:allowed].to(places.device)
    dropped = torch.zeros_like(candidates).flatten()
    dropped[places[order]] = True
    dropped = dropped.view_as(candidates)
    return torch.where(dropped, torch.zeros_like(free), torch.maximum(free, cut)), dropped


def kl_cov_losses(
    config: KLCovLossConfig, log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor
) -> Tensor:
    """Unclipped surrogate of each token, plus coefficient·|log-ratio| on those of highest covariance.

    Args:
        config: Share and weight.
        log_probs: log π, shape (B, L).
        old_log_probs: log π_old, shape (B, L).
        advantages: Shape (B, L).
        mask: Trained tokens, shape (B, L).

    Returns:
        Losses, shape (B, L).
    """
    log_ratio = log_probs - old_log_probs
    trained = int((mask > 0).sum())
    if trained == 0:
        return torch.zeros_like(log_ratio)
    chosen = torch.zeros(mask.numel(), dtype=torch.bool, device=mask.device)
    count = max(1, int(trained * config.fraction))
    chosen[token_covariance(log_probs, advantages, mask).flatten().topk(count).indices] = True
    penalty = config.coefficient * log_ratio.abs() * chosen.view_as(log_ratio)
    return -advantages * torch.exp(log_ratio) + penalty
