"""How per-token losses become one number: five modes, all of them weighted sums."""

from __future__ import annotations

import torch
from torch import Tensor

from toolwise.learning.losses.config import Aggregation


def sequence_weights(
    lengths: Tensor,
    mode: Aggregation,
    *,
    horizon: int | None = None,
    total_tokens: float | None = None,
    total_sequences: float | None = None,
    data_parallel: int = 1,
) -> Tensor:
    """Weight of each trained token of each sequence, so that the loss is Σ weight · token loss.

    Args:
        lengths: Number of trained tokens of each sequence, shape (B,); empty sequences are not counted.
        mode: ``token-mean``: mean over all tokens; ``token-sum``: their sum; ``seq-mean-token-sum``: mean
            over sequences of sums; ``seq-mean-token-mean``: mean over sequences of means;
            ``seq-mean-token-sum-norm``: mean over sequences of sums divided by `horizon` (Dr. GRPO).
        horizon: Tokens, > 0; only ``seq-mean-token-sum-norm`` reads it, and needs it.
        total_tokens: Trained tokens of the whole batch, if `lengths` is only a part of it.
        total_sequences: Non-empty sequences of the whole batch, likewise.
        data_parallel: Number of processes whose gradients are averaged; weights are multiplied by it.

    Returns:
        Weights, shape (B,), float of at least 32 bits; 0 for everything if no token is trained.

    Raises:
        ValueError: If ``seq-mean-token-sum-norm`` has no horizon, or several processes have no total.
    """
    counts = lengths if lengths.is_floating_point() else lengths.to(torch.float64)
    per_sequence = mode.startswith("seq")
    total = total_sequences if per_sequence else total_tokens
    if total is None:
        if data_parallel > 1 and mode != "token-sum":
            kind = "sequences" if per_sequence else "tokens"
            raise ValueError(f"{mode} over {data_parallel} processes needs the total number of {kind}")
        total = float(((counts > 0).sum() if per_sequence else counts.sum()).item())
    weights = torch.full_like(counts, data_parallel / max(total, 1e-8))
    if mode == "token-sum":
        weights = torch.full_like(counts, data_parallel)
    elif mode == "seq-mean-token-mean":
        weights = weights / counts.clamp(min=1e-8)
    elif mode == "seq-mean-token-sum-norm":
        if horizon is None:
            raise ValueError("seq-mean-token-sum-norm divides by a horizon: give one")
        weights = weights / horizon
    return torch.where(counts > 0, weights, torch.zeros_like(weights))


def aggregate(
    loss: Tensor,
    mask: Tensor,
    mode: Aggregation,
    *,
    horizon: int | None = None,
    total_tokens: float | None = None,
    total_sequences: float | None = None,
    data_parallel: int = 1,
) -> Tensor:
    """One number from per-token losses.

    Args:
        loss: Loss of each token, shape (B, L).
        mask: 1 on trained tokens, shape (B, L). Rows without any leave the means.
        mode: See `sequence_weights`.
        horizon: See `sequence_weights`; None takes L.
        total_tokens: See `sequence_weights`.
        total_sequences: See `sequence_weights`.
        data_parallel: See `sequence_weights`.

    Returns:
        Scalar, 0 if no token is trained.
    """
    mask = mask.to(loss.dtype)
    weights = sequence_weights(
        mask.sum(-1),
        mode,
        horizon=mask.shape[-1] if horizon is None else horizon,
        total_tokens=total_tokens,
        total_sequences=total_sequences,
        data_parallel=data_parallel,
    )
    # torch.where, because a masked loss may be infinite and 0·inf is not 0.
    kept = torch.where(mask > 0, loss * mask, torch.zeros_like(loss))
    return (kept * weights[:, None]).sum()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is 1, 0 if it is nowhere; both shape (...), result a scalar."""
    mask = mask.to(torch.promote_types(values.dtype, torch.float32))
    return (values * mask).sum() / mask.sum().clamp(min=1e-8)
