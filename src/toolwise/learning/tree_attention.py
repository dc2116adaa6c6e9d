"""Attention on whole rows of token trees through FlexAttention: blocks that nobody sees are skipped.

The mask is never written out: it is computed from the enter and exit intervals of the tokens (DeFT, arXiv
2404.00242, and tree-structured masks in general), block by block, and a block whose tokens all see nothing of
another block, such as those of another tree, costs nothing. On a GPU this is one kernel for all rollouts,
where attention along paths gathers keys for each; PyTorch has no backward pass of it on a CPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from toolwise.learning.packing import TokenBatch

NAME = "toolwise_trees"


def tree_blocks(batch: TokenBatch) -> Any:
    """FlexAttention's mask of a batch: token i sees j iff ``j <= i`` and ``enter[j] <= enter[i] < exit[j]``.

    Args:
        batch: Packed trees, on the model's device.

    Returns:
        A ``BlockMask`` for all rows and any number of heads. Padding sees itself and what stands before it in
        the padding, so that no row of scores is empty.
    """
    from torch.nn.attention.flex_attention import create_block_mask

    enter, leave = batch.enter, batch.exit
    rows, length = enter.shape
    padding = enter < 0

    def sees(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        here, there = enter[row, query], enter[row, key]
        inside = (there <= here) & (here < leave[row, key])
        return (query >= key) & (inside | (padding[row, query] & padding[row, key]))

    return create_block_mask(sees, B=rows, H=None, Q_LEN=length, KV_LEN=length, device=enter.device)


def attend_by_blocks(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    blocks: Any = None,
    **ignored: Any,
) -> tuple[Tensor, None]:
    """An attention function as `transformers` calls it.

    Args:
        module: The attention layer.
        query: Shape (R, heads, L, head size).
        key: Shape (R, key heads, L, head size).
        value: Like `key`.
        attention_mask: Not looked at.
        dropout: Probability; FlexAttention has none, so it is refused above 0.
        scaling: Factor on the scores.
        blocks: From `tree_blocks`.
        ignored: What other attention functions are given.

    Returns:
        Shape (R, L, heads, head size), and None.

    Raises:
        ValueError: Dropout is asked for.
    """
    if dropout:
        raise ValueError("FlexAttention has no dropout; set attention_dropout of the model to 0")
    found: Tensor = _kernel(query.device.type)(
        query,
        key,
        value,
        block_mask=blocks,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return found.transpose(1, 2).contiguous(), None


@cache
def _kernel(device: str) -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    # Without compilation it computes every score, which is only good for comparing.
    return cast(Callable[..., Any], torch.compile(flex_attention) if device == "cuda" else flex_attention)


@cache
def usable(device: str) -> bool:
    """Whether this device has the kernel, forward and backward; says why where a GPU has not."""
    if device != "cuda":
        return False
    try:
        parts = [torch.ones(1, 2, 128, 64, device=device, requires_grad=True) for _ in range(3)]
        torch.autograd.grad(_kernel(device)(*parts).sum(), parts)
    except Exception as error:
        warnings.warn(f"FlexAttention cannot be used, attending along paths: {error}", stacklevel=2)
        return False
    return True
