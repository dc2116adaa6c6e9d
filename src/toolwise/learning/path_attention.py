"""Attention along the paths of token trees: cost follows the tokens that see each other, not the pack.

A dense mask over a row computes every pair of its tokens, of unrelated trees and of sibling branches too.
Here each rollout's own tokens (those that no earlier rollout of the tree has) attend to the tokens of their
path, gathered; what many of them share may be cut off as a stem (`toolwise.learning.sight`).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from toolwise.learning.sight import PathGroup, Sight
from toolwise.learning.stem_attention import attend_with_stems

NAME = "toolwise_paths"


class KeysTaken(Exception):  # noqa: N818 - it carries what was asked for; nothing went wrong
    """Ends a layer's forward pass where its keys and values are known and nothing else is wanted."""

    def __init__(self, key: Tensor, value: Tensor) -> None:
        super().__init__()
        self.key, self.value = key, value


def attend_along_paths(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    paths: Sight | None = None,
    **ignored: Any,
) -> tuple[Tensor, None]:
    """An attention function as `transformers` calls it.

    Args:
        module: The attention layer.
        query: Shape (R, heads, L, head size).
        key: Shape (R, key heads, L, head size).
        value: Like `key`.
        attention_mask: Not looked at.
        dropout: Probability; must be 0 where there are stems.
        scaling: Factor on the scores.
        ignored: What other attention functions are given.
        paths: Who attends to whom.

    Returns:
        Shape (R, L, heads, head size), 0 on padding, and None.

    Raises:
        KeysTaken: `paths` is None.
    """
    rows, heads, length, _size = query.shape
    flat_query, flat_key, flat_value = flat(query), flat(key), flat(value)
    if paths is None:
        raise KeysTaken(flat_key, flat_value)
    if paths.apart is not None:
        flat_key = paths.apart.ordered(flat_key, paths.apart.key)
        flat_value = paths.apart.ordered(flat_value, paths.apart.value)
    if paths.stems:
        output = attend_with_stems(flat_query, flat_key, flat_value, paths, scaling)
        return output.view(rows, length, heads, -1), None
    output = flat_value.new_zeros(rows * length, heads, value.shape[-1])
    for group in paths.groups:
        own = _attended(group, flat_query, flat_key, flat_value, dropout, scaling)
        output = output.index_copy(0, group.own, own)
    return output.view(rows, length, heads, -1), None


def flat(part: Tensor) -> Tensor:
    """From (R, heads, L, size) to (R·L, heads, size)."""
    return part.transpose(1, 2).reshape(-1, part.shape[1], part.shape[-1])


def _attended(
    group: PathGroup, query: Tensor, key: Tensor, value: Tensor, dropout: float, scaling: float | None
) -> Tensor:
    heads = query.shape[1]
    repeats = heads // key.shape[1]
    # The kernels for a GPU that take a mask want as many key heads as query heads.
    grouped = repeats > 1 and query.device.type == "cpu"
    asking, path_key, path_value = group.asking(query), group.seen(key), group.seen(value)
    if repeats > 1 and not grouped:
        path_key = path_key.repeat_interleave(repeats, dim=1)
        path_value = path_value.repeat_interleave(repeats, dim=1)
    found = nn.functional.scaled_dot_product_attention(
        asking,
        path_key,
        path_value,
        attn_mask=group.mask,
        is_causal=group.mask is None,
        dropout_p=dropout,
        scale=scaling,
        enable_gqa=grouped,
    )
    return group.own_from(found)
