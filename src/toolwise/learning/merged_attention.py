"""Attention in parts on a CPU: what is scored apart is merged by the logarithms of the sums of weights.

Attention over a union of keys is the mean of attentions over its parts, weighted by the sums of their
exponentiated scores (FlashAttention, arXiv 2205.14135, §3; for shared prefixes Hydragen, arXiv 2402.05099).
The backward pass of a part needs only the output and the log-sum of the whole, so that each part is one call
of the kernel, forward and backward, and the keys of a shared prompt stand in memory once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toolwise.learning.path_layout import PathGroup, SharedRun, gathered

NEVER = 1e30
"""Log-sum of what is not asked: every weight of such a row is 0."""
_forward: Any = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
_backward: Any = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward", None)


def can_merge(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> bool:
    """Whether there is a kernel that gives log-sums for these.

    Args:
        query: Shape (R, heads, L, head size).
        key: Shape (R, key heads, L, head size).
        value: Like `key`.
        dropout: Probability.
    """
    alike = query.shape[-1] == key.shape[-1] == value.shape[-1]
    return query.device.type == "cpu" and alike and not dropout and None not in (_forward, _backward)


def attend_merged(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: Sequence[PathGroup],
    shared: Sequence[SharedRun],
    scaling: float | None,
) -> Tensor:
    """Attention of flattened rows along cut paths.

    Args:
        query: Shape (N, heads, head size).
        key: Shape (N, key heads, head size).
        value: Like `key`.
        groups: Paths without their shared runs.
        shared: The runs, each after the paths and runs that its tokens stand in.
        scaling: Factor on the scores; None takes the usual one.

    Returns:
        Shape (N, heads, head size), 0 on padding.
    """
    if torch.is_autocast_enabled("cpu"):
        narrow = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(narrow), key.to(narrow), value.to(narrow)
    return _Merged.apply(query, key, value, groups, shared, scaling)  # type: ignore[no-any-return, no-untyped-call]


class _Merged(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        groups: Sequence[PathGroup],
        shared: Sequence[SharedRun],
        scaling: float | None,
    ) -> Tensor:
        wide = torch.promote_types(query.dtype, torch.float32)
        output = query.new_zeros(query.shape, dtype=wide)
        logsum = query.new_full(query.shape[:2], NEVER, dtype=wide)
        for group in groups:
            found, sums = _forward(
                gathered(query, group.queries),
                gathered(key, group.keys),
                gathered(value, group.keys),
                is_causal=group.mask is None,
                attn_mask=group.mask,
                scale=scaling,
            )
            output[group.own] = _flat(found).index_select(0, group.slots).to(wide)
            logsum[group.own] = sums.transpose(1, 2).flatten(0, 1).index_select(0, group.slots)
        for run in shared:
            found, sums = _forward(*_parts(run, query, key, value), scale=scaling)
            before = logsum.index_select(0, run.queries)
            sums = sums[0].transpose(0, 1)
            after = torch.logaddexp(before, sums)
            merged = output.index_select(0, run.queries).mul_((before - after).exp_().unsqueeze(-1))
            merged.addcmul_(_flat(found).to(wide), (sums - after).exp_().unsqueeze(-1))
            output.index_copy_(0, run.queries, merged)
            logsum.index_copy_(0, run.queries, after)
        result = output.to(query.dtype)
        ctx.save_for_backward(query, key, value, result, logsum)
        ctx.layout = groups, shared, scaling
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        query, key, value, output, logsum = ctx.saved_tensors
        groups, shared, scaling = ctx.layout
        (above,) = gradients
        totals = [part.new_zeros(part.shape, dtype=logsum.dtype) for part in (query, key, value)]
        for group in groups:
            slots, shape = group.slots, group.queries.shape
            given, found = (_spread(part, group, 0.0) for part in (above, output))
            changes = _backward(
                given.transpose(1, 2),
                gathered(query, group.queries),
                gathered(key, group.keys),
                gathered(value, group.keys),
                found.transpose(1, 2),
                _spread(logsum, group, NEVER).view(*shape, -1).transpose(1, 2),
                0.0,
                group.mask is None,
                attn_mask=group.mask,
                scale=scaling,
            )
            totals[0].index_add_(0, group.own, _flat(changes[0]).index_select(0, slots).to(logsum.dtype))
            for total, change in zip(totals[1:], changes[1:], strict=True):
                total.index_add_(0, group.keys.flatten(), _flat(change).to(logsum.dtype))
        for run in shared:
            given, found = (_alone(part, run.queries) for part in (above, output))
            sums = logsum.index_select(0, run.queries).transpose(0, 1).unsqueeze(0)
            changes = _backward(
                given, *_parts(run, query, key, value), found, sums, 0.0, False, scale=scaling
            )
            for total, places, change in zip(totals, (run.queries, run.keys, run.keys), changes, strict=True):
                total.index_add_(0, places, _flat(change).to(logsum.dtype))
        parts = (total.to(part.dtype) for total, part in zip(totals, (query, key, value), strict=True))
        return (*parts, None, None, None)


def _parts(run: SharedRun, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _alone(query, run.queries), _alone(key, run.keys), _alone(value, run.keys)


def _alone(flat: Tensor, places: Tensor) -> Tensor:
    """From (N, heads, size) those at places (L,), shape (1, heads, L, size)."""
    return gathered(flat, places.unsqueeze(0))


def _flat(found: Tensor) -> Tensor:
    """(P, heads, L, size) as (P · L, heads, size)."""
    return found.transpose(1, 2).flatten(0, 1)


def _spread(flat: Tensor, group: PathGroup, elsewhere: float) -> Tensor:
    """(N, …) at the slots of a group, shape (P, L, …); what a group does not ask for is `elsewhere`."""
    count, width = group.queries.shape
    spread = flat.new_full((count * width, *flat.shape[1:]), elsewhere)
    spread[group.slots] = flat.index_select(0, group.own)
    return spread.view(count, width, *flat.shape[1:])
