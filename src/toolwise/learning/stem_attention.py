"""Attention where many tokens see the same stem: parts of a softmax, merged by the logarithms of their sums.

Each part (a piece of a path, a stem) is computed by PyTorch's flash attention on a CPU, which also gives
the logarithm of the sum of its exponentials. Parts merge exactly (online softmax, Milakov & Gimelshein 2018,
arXiv 1805.02867; prefixes apart: Hydragen, arXiv 2402.05099), and with the merged sum the backward pass of
each part gives its share of the gradient.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from toolwise.learning.sight import Sight

_LARGE = 1e30
"""In place of a logarithm of a sum: all weights of the row become 0."""


def possible(config: Any, device: str, training: bool) -> bool:
    """Whether layers of a model can attend with stems.

    Args:
        config: The model's text configuration.
        device: Where it is.
        training: Whether dropout is on.
    """
    dropout = training and (getattr(config, "attention_dropout", 0.0) or 0.0) > 0
    alike = getattr(config, "v_head_dim", None) is None  # values are as wide as keys
    return device == "cpu" and alike and not dropout and _known_kernel()


@cache
def _known_kernel() -> bool:
    """Whether PyTorch's kernel, which it does not promise to keep, does what the public function does."""
    make = torch.Generator().manual_seed(0)
    # Whatever is on around the first call: evaluation, half precision.
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        parts = [torch.randn(1, heads, 3, 8, generator=make).requires_grad_() for heads in (4, 2, 2)]
        query, key, value = parts
        wanted = scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        slopes = torch.autograd.grad(wanted, parts, wanted.detach())
        query, key, value = (part.detach() for part in parts)
        try:
            found, sums = _attend(query, key, value, causal=True)
            mine = _backward(found, query, key, value, found, sums, causal=True)
        except (AttributeError, RuntimeError, TypeError):
            return False
    pairs = zip((found, *mine), (wanted, *slopes), strict=True)
    return all(torch.allclose(one, two, atol=1e-5) for one, two in pairs)


def attend_with_stems(
    query: Tensor, key: Tensor, value: Tensor, sight: Sight, scaling: float | None
) -> Tensor:
    """Attention of flattened queries, on a CPU.

    Args:
        query: Shape (Q, heads, size).
        key: Shape (K, key heads, size).
        value: Like `key`.
        sight: Who attends to whom.
        scaling: Factor on the scores; None: 1/√size.

    Returns:
        Shape (Q, heads, size), 0 where nothing is asked.
    """
    if torch.is_autocast_enabled("cpu"):
        narrow = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(narrow), key.to(narrow), value.to(narrow)
    found: Tensor = _Merged.apply(query, key, value, sight, scaling)  # type: ignore[no-untyped-call]
    return found


class _Merged(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, sight: Sight, scaling: float | None
    ) -> Tensor:
        """Shapes as in `attend_with_stems`."""
        wide = torch.promote_types(query.dtype, torch.float32)
        output = torch.zeros_like(query)
        logsum = query.new_full(query.shape[:2], _LARGE, dtype=wide)
        for group in sight.groups:
            parts = group.asking(query), group.seen(key), group.seen(value)
            found, sums = _attend(*parts, causal=group.mask is None, mask=group.mask, scale=scaling)
            group.put(output, found)
            group.put(logsum, sums)
        for stem in sight.stems:
            asking, seen = slice(*stem.queries), slice(*stem.keys)
            found, sums = _attend(_row(query[asking]), _row(key[seen]), _row(value[seen]), scale=scaling)
            mine, theirs = logsum[asking], sums[0].t()
            total = torch.logaddexp(mine, theirs)
            share = (theirs - total).exp_().to(output.dtype)
            output[asking].lerp_(_unrow(found), share[..., None])
            mine.copy_(total)
        ctx.save_for_backward(query, key, value, output, logsum)
        ctx.sight, ctx.scaling = sight, scaling
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of a part is that of attention with the merged output and sums."""
        query, key, value, output, logsum = ctx.saved_tensors
        slopes = tuple(torch.zeros_like(part) for part in (query, key, value))
        for group in ctx.sight.groups:
            # What is not a piece's own (padding, what is asked again) is to give nothing.
            of_query, of_key, of_value = _backward(
                group.own_of(gradient, 0.0),
                group.asking(query),
                group.seen(key),
                group.seen(value),
                group.own_of(output, 0.0),
                group.own_of(logsum, _LARGE),
                causal=group.mask is None,
                mask=group.mask,
                scale=ctx.scaling,
            )
            group.put(slopes[0], of_query)
            group.add_seen(slopes[1], of_key)
            group.add_seen(slopes[2], of_value)
        for stem in ctx.sight.stems:
            asking, seen = slice(*stem.queries), slice(*stem.keys)
            parts = _backward(
                _row(gradient[asking]),
                _row(query[asking]),
                _row(key[seen]),
                _row(value[seen]),
                _row(output[asking]),
                logsum[asking].t()[None],
                scale=ctx.scaling,
            )
            for slope, at, part in zip(slopes, (asking, seen, seen), parts, strict=True):
                slope[at].add_(_unrow(part))
        return *slopes, None, None


def _row(flat: Tensor) -> Tensor:
    """From (L, heads, size) to (1, heads, L, size)."""
    return flat.transpose(0, 1)[None]


def _unrow(row: Tensor) -> Tensor:
    return row[0].transpose(0, 1)


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    causal: bool = False,
    mask: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Output (P, heads, Lq, size) and the logarithms of the sums (P, heads, Lq)."""
    found: tuple[Tensor, Tensor] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, attn_mask=mask, scale=scale
    )
    return found


def _backward(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    logsum: Tensor,
    *,
    causal: bool = False,
    mask: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    heads, repeats = query.shape[1], query.shape[1] // key.shape[1]
    apart = len(query) == 1 and repeats > 1
    if apart:
        # The kernel's threads share out key heads, which may be fewer than there are threads.
        gradient, query, output, logsum = (
            part[0].view(-1, repeats, *part.shape[2:]).transpose(0, 1)
            for part in (gradient, query, output, logsum)
        )
        key, value = (part.expand(repeats, -1, -1, -1) for part in (key, value))
    of_query, of_key, of_value = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        gradient, query, key, value, output, logsum.contiguous(), 0.0, causal, attn_mask=mask, scale=scale
    )
    if apart:
        of_query = of_query.transpose(0, 1).reshape(1, heads, *of_query.shape[2:])
        of_key, of_value = (sum(part.split(1)[1:], part[:1]) for part in (of_key, of_value))
    return of_query, of_key, of_value
