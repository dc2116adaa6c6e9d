"""Normalisation of values over their members: which centre, which scale, and every edge case by name."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from toolwise.advantages.credit import Floats, Integers, Mask
from toolwise.core import ToolwiseError

Scope = Literal["none", "group", "turn", "siblings", "batch"]


class Normaliser(BaseModel):
    """(value − centre of its members) / (their std + ε).

    Attributes:
        over: Members that are centred: the group; the values at one turn index of the group; the children
            of one fork (each counted once, with the mean of the rollouts through it); the batch; or no
            centring.
        centre: Their mean, the mean of the others (``leave_one_out``), or the mean weighted with the number
            of sampled tokens (``length_weighted``).
        scale_over: Members whose std divides, see `over`; ``none`` divides by nothing.
        divisor: Of the variance: ``sample`` n − 1, ``population`` n.
        epsilon: Added to the std, ≥ 0.
        single: A value without company keeps itself (``raw``: centre 0, std 1), becomes 0, or is an error.
        zero_std: Where the std is below ε: still divide by std + ε, or only ``centre``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    over: Scope = "group"
    centre: Literal["mean", "leave_one_out", "length_weighted"] = "mean"
    scale_over: Scope = "none"
    divisor: Literal["sample", "population"] = "sample"
    epsilon: float = Field(default=1e-6, ge=0)
    single: Literal["raw", "zero", "error"] = "raw"
    zero_std: Literal["epsilon", "centre"] = "epsilon"


def normalise(
    values: Floats,
    lengths: Floats,
    centre_keys: Sequence[Hashable] | None,
    scale_keys: Sequence[Hashable] | None,
    rule: Normaliser,
) -> Floats:
    """Normalise values; those with equal keys are members of one another.

    Args:
        values: Shape (N,).
        lengths: Sampled tokens of each, shape (N,); only ``length_weighted`` looks at them.
        centre_keys: Length N; None to leave the values uncentred.
        scale_keys: Length N; None to leave them unscaled.
        rule: How.

    Returns:
        Shape (N,); exactly 0 where all members (two or more) have one value.

    Raises:
        ToolwiseError: If a value has no company and the rule calls that an error.
    """
    result = values.astype(np.float64)
    if centre_keys is not None:
        result = _centred(result, lengths, centre_keys, rule)
    if scale_keys is not None:
        result = result / _scale(values, scale_keys, rule)
    return result


def members(keys: Sequence[Hashable]) -> tuple[Integers, Integers]:
    """Number of the member set of each key, and the size of each set; shapes (N,) and (K,)."""
    known: dict[Hashable, int] = {}
    numbers = np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)
    return numbers, np.bincount(numbers, minlength=len(known))


def _centred(values: Floats, lengths: Floats, keys: Sequence[Hashable], rule: Normaliser) -> Floats:
    own, sizes = members(keys)
    alone = sizes[own] == 1
    if rule.single == "error" and alone.any():
        key = keys[int(np.argmax(alone))]
        raise ToolwiseError(
            "there is only one rollout to compare",
            where=f"group {key!r}",
            mend="sample at least 2 rollouts a task, or let 'single' be 'raw' or 'zero'",
        )
    weights = lengths if rule.centre == "length_weighted" else np.ones_like(values)
    totals = np.bincount(own, weights)
    means = np.bincount(own, weights * values) / np.where(totals > 0, totals, 1.0)
    centred = values - means[own]
    if rule.centre == "leave_one_out":
        centred = centred * (sizes / np.maximum(sizes - 1, 1))[own]
    centred[_constant(values, own, len(sizes))[own]] = 0.0  # not a rounding error that ε would blow up
    centred[alone] = values[alone] if rule.single == "raw" else 0.0
    return centred


def _scale(values: Floats, keys: Sequence[Hashable], rule: Normaliser) -> Floats:
    own, sizes = members(keys)
    means = np.bincount(own, values) / sizes
    squares = np.bincount(own, np.square(values - means[own]))
    divisor = np.maximum(sizes - (rule.divisor == "sample"), 1)
    std = np.where(sizes == 1, 1.0, np.sqrt(squares / divisor))
    scale = std + rule.epsilon
    flat = (std < rule.epsilon) if rule.zero_std == "centre" else (scale == 0)
    return np.where(flat, 1.0, scale)[own]


def _constant(values: Floats, own: Integers, count: int) -> Mask:
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, own, values)
    np.maximum.at(high, own, values)
    constant: Mask = low == high
    return constant


def whiten(values: Sequence[Floats], masks: Sequence[Mask], epsilon: float = 1e-8) -> list[Floats]:
    """(value − mean) / √(variance + ε) over the masked tokens of the batch, variance with divisor n − 1.

    The mean has the divisor n + ε.

    Args:
        values: One array for each rollout, shape (L,).
        masks: Sampled tokens, same shapes.
        epsilon: ε.

    Returns:
        Same shapes, 0 where the mask is False; 0 everywhere if there are fewer than two tokens.
    """
    kept = np.concatenate([value[mask] for value, mask in zip(values, masks, strict=True)] or [np.empty(0)])
    if len(kept) < 2:
        return [np.zeros_like(value) for value in values]
    mean = kept.sum() / (len(kept) + epsilon)  # ε also here, as the reference program has it
    variance = np.square(kept - mean).sum() / (len(kept) - 1)
    root = np.sqrt(variance + epsilon)
    return [np.where(mask, (value - mean) / root, 0.0) for value, mask in zip(values, masks, strict=True)]
