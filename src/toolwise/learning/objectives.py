"""Objectives: from the log-probabilities of a packed batch to its share of the step's loss."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from toolwise.core import ToolwiseError
from toolwise.learning.losses import (
    Aggregation,
    ClipCovLossConfig,
    DPOLossConfig,
    DROLossConfig,
    GeoMeanLossConfig,
    GSPOLossConfig,
    KLCovLossConfig,
    PolicyLossConfig,
    dpo_losses,
    kl_divergence,
    surrogate_details,
)
from toolwise.learning.packing import TokenBatch


class SupervisedLossConfig(BaseModel):
    """Weighted negative log-likelihood.

    Attributes:
        aggregation: How per-token losses become one number; means are weighted means.
        horizon: Fixed length in tokens that ``seq-mean-token-sum-norm`` divides by, > 0.
        parts: Weight of each part of the data; the loss is then the weighted sum of the parts' own losses,
            each aggregated over the tokens of its part (TinyLLM, arXiv 2402.04616: L_A + Σ α_m L_m). ``*``
            stands for all parts that are not named. Empty: all data are one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    type: Literal["supervised"] = "supervised"
    aggregation: Aggregation = "token-mean"
    horizon: int | None = Field(default=None, gt=0)
    parts: dict[str, Annotated[float, Field(ge=0)]] = {}


LossConfig = Annotated[SupervisedLossConfig | DPOLossConfig | PolicyLossConfig, Field(discriminator="type")]
"""What an optimizer step minimises; ``type`` chooses."""


def check_packable(config: LossConfig) -> None:
    """Refuse the losses that need statistics of the whole batch before the first token's loss.

    Raises:
        ToolwiseError: For Clip-Cov and KL-Cov.
    """
    if isinstance(config, ClipCovLossConfig | KLCovLossConfig):
        raise ToolwiseError(
            f"{config.type!r} needs the covariance over the whole batch, which micro-batches do not have",
            where="loss.type",
            mend="use ppo, gspo, geo_mean, sapo, cispo, gpg, dppo or dro",
        )


def needs_all_tokens(config: LossConfig) -> bool:
    """Whether tokens with advantage 0 have a gradient as well."""
    if isinstance(config, SupervisedLossConfig | DPOLossConfig | DROLossConfig):
        return True
    return config.kl.coefficient > 0 or config.entropy_coefficient > 0


def batch_loss(
    config: LossConfig, batch: TokenBatch, logprobs: Tensor, entropies: Tensor | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The batch's summand of the loss, and sums over its trained tokens for the metrics.

    Args:
        config: What to minimise.
        batch: Packed trees whose weights are aggregated over the whole step.
        logprobs: log π of the trained tokens, shape (N,).
        entropies: Entropies there, shape (N,); policy losses need them.

    Returns:
        A scalar, and sums without gradient: ``entropy``, ``approx_kl`` (k3 of the sampling policy to the
        present one), ``clip_share`` (tokens, for sequence losses pairs scaled to tokens), ``kl`` (k3). For
        preferences, the sum over pairs of answers instead, and the sums of `preference_loss`.

    Raises:
        ToolwiseError: The KL penalty, or DPO, lacks the reference's log-probabilities.
    """
    if isinstance(config, SupervisedLossConfig):
        return -(batch.weight * logprobs).sum(), {}
    if isinstance(config, DPOLossConfig):
        return preference_loss(config, batch, logprobs)
    assert entropies is not None
    log_ratio = logprobs - batch.old_logprobs
    loss, clipped = _policy_loss(config, batch, logprobs, log_ratio)
    with torch.no_grad():
        sums = {
            "entropy": entropies.sum(),
            "approx_kl": kl_divergence(batch.old_logprobs, logprobs, "k3").sum(),
            "clip_share": clipped,
        }
    if batch.ref_logprobs is not None:
        sums["kl"] = kl_divergence(logprobs.detach(), batch.ref_logprobs, "k3").sum()
    if config.kl.coefficient > 0:
        if batch.ref_logprobs is None:
            raise ToolwiseError(
                "the KL penalty has no reference log-probabilities",
                where="loss.kl.coefficient",
                mend="annotate the trees with Learner.annotate_reference, or set it to 0",
            )
        penalty = kl_divergence(logprobs, batch.ref_logprobs, config.kl.estimator)
        loss = loss + config.kl.coefficient * (batch.weight * penalty).sum()
    if config.entropy_coefficient > 0:
        loss = loss - config.entropy_coefficient * (batch.weight * entropies).sum()
    return loss, sums


def preference_loss(
    config: DPOLossConfig, batch: TokenBatch, logprobs: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """DPO on packed trees of two rollouts each: the chosen answer and then the rejected one.

    Args:
        config: β and the label smoothing.
        batch: Trees with ``ref_logprobs``; weights are those of the turns, not aggregated.
        logprobs: log π of the trained tokens, shape (N,).

    Returns:
        The sum of the pairs' losses, and sums without gradient: ``preference_accuracy`` (pairs whose chosen
        answer has the larger implicit reward β·h), ``reward_margin``, ``reward_chosen``, ``reward_rejected``.

    Raises:
        ToolwiseError: There are no log-probabilities of a reference.
    """
    if batch.ref_logprobs is None:
        raise ToolwiseError(
            "DPO has no reference log-probabilities",
            where="loss.type",
            mend="annotate the trees with Learner.annotate_reference",
        )
    ratio = batch.pair_weight * (logprobs - batch.ref_logprobs)[batch.pair_token]
    gained = ratio.new_zeros(batch.rollouts).index_add(0, batch.pair_rollout, ratio)
    chosen, rejected = gained[0::2], gained[1::2]
    losses = dpo_losses(config, chosen, rejected)
    with torch.no_grad():
        sums = {
            "preference_accuracy": (chosen > rejected).to(ratio.dtype).sum(),
            "reward_margin": config.beta * (chosen - rejected).sum(),
            "reward_chosen": config.beta * chosen.sum(),
            "reward_rejected": config.beta * rejected.sum(),
        }
    return losses.sum(), sums


def _policy_loss(
    config: PolicyLossConfig, batch: TokenBatch, logprobs: Tensor, log_ratio: Tensor
) -> tuple[Tensor, Tensor]:
    if isinstance(config, GSPOLossConfig | GeoMeanLossConfig):
        return _sequence_loss(config, batch, logprobs, log_ratio)
    if isinstance(config, DROLossConfig):
        # The quadratic pull stands once for every rollout through the token, whatever its advantage.
        gain = (batch.advantage_pos + batch.advantage_neg) * logprobs
        pull = 0.5 * config.beta * batch.weight * log_ratio.square()
        return (pull - gain).sum(), log_ratio.new_zeros(())
    check_packable(config)
    assert not isinstance(config, ClipCovLossConfig | KLCovLossConfig)
    up = surrogate_details(config, log_ratio, 1, log_probs=logprobs)
    down = surrogate_details(config, log_ratio, -1, log_probs=logprobs)
    loss = (batch.advantage_pos * up.loss - batch.advantage_neg * down.loss).sum()
    clipped = (up.clipped & (batch.advantage_pos > 0)) | (
        (down.clipped | down.clipped_lower) & (batch.advantage_neg < 0)
    )
    return loss, clipped.sum()


def _sequence_loss(
    config: GSPOLossConfig | GeoMeanLossConfig, batch: TokenBatch, logprobs: Tensor, log_ratio: Tensor
) -> tuple[Tensor, Tensor]:
    """Losses with one ratio a rollout: a shared token takes part in the ratio of each rollout through it."""
    owner, advantage = batch.pair_rollout, batch.pair_advantage
    counts = torch.bincount(owner, minlength=batch.rollouts).clamp(min=1).to(logprobs.dtype)

    def mean(values: Tensor) -> Tensor:
        return values.new_zeros(batch.rollouts).index_add(0, owner, values) / counts

    along = log_ratio[batch.pair_token]
    share = len(batch.targets) / max(1, len(owner))
    if isinstance(config, GSPOLossConfig):
        new = logprobs[batch.pair_token]
        ratio = mean(along.detach())[owner] + (new - new.detach())
        up, down = surrogate_details(config, ratio, 1), surrogate_details(config, ratio, -1)
        losses = advantage.clamp(min=0) * up.loss - advantage.clamp(max=0) * down.loss
        clipped = (up.clipped & (advantage > 0)) | (down.clipped & (advantage < 0))
        return (batch.pair_weight * losses).sum(), clipped.sum() * share
    sign = advantage.sign()
    cut = along.clamp(-config.clip_low, config.clip_high)
    kept = sign * torch.minimum(sign * along, sign * cut)
    weighted = along.new_zeros(batch.rollouts).index_add(0, owner, batch.pair_weight * advantage)
    clipped = (kept != along) & (sign != 0)
    return -(weighted * mean(kept).exp()).sum(), clipped.sum() * share
