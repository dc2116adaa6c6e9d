"""Attention along the paths of token trees: cost follows the tokens that see each other, not the pack.

A dense mask over a row computes every pair of its tokens, of unrelated trees and of sibling branches too.
Here each rollout's own tokens (those that no earlier rollout of the tree has) attend to the tokens of their
path, gathered; every token is a query once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

NAME = "toolwise_paths"
BUCKET = 64
"""Paths whose lengths round up to the same multiple of this are computed together."""


@dataclass(frozen=True, slots=True)
class PathGroup:
    """P paths of similar length; places are indices into the flattened rows.

    Attributes:
        queries: Places of the paths' own tokens, one after another, shape (Q,).
        slots: Where each of them stands in the padded (P, Lq) block, shape (Q,).
        keys: Places of the tokens of each path, 0 on padding, shape (P, Lk).
        mask: Which of them each query sees, bool, shape (P, 1, Lq, Lk).
    """

    queries: Tensor
    slots: Tensor
    keys: Tensor
    mask: Tensor

    def to(self, device: torch.device | str) -> PathGroup:
        """The same on another device."""
        parts = (self.queries, self.slots, self.keys, self.mask)
        return PathGroup(*(part.to(device, non_blocking=True) for part in parts))


def path_groups(paths: Sequence[NDArray[np.int64]]) -> tuple[PathGroup, ...]:
    """Group paths by length.

    Args:
        paths: Places of the tokens of each rollout, root first; rollouts of one tree stand together.
    """
    seen: set[int] = set()
    buckets: dict[int, list[tuple[NDArray[np.int64], int]]] = {}
    for path in paths:
        # What a path shares with earlier ones is a prefix of it.
        shared = int(np.searchsorted([place not in seen for place in path.tolist()], True))
        if shared == len(path):
            continue
        seen.update(path[shared:].tolist())
        buckets.setdefault(-(-len(path) // BUCKET), []).append((path, shared))
    return tuple(_group(members) for _, members in sorted(buckets.items()))


def _group(members: Sequence[tuple[NDArray[np.int64], int]]) -> PathGroup:
    longest = max(len(path) for path, _ in members)
    widest = max(len(path) - shared for path, shared in members)
    keys = np.zeros((len(members), longest), dtype=np.int64)
    depth = np.zeros((len(members), widest), dtype=np.int64)
    queries, slots = [], []
    for number, (path, shared) in enumerate(members):
        own = len(path) - shared
        keys[number, : len(path)] = path
        depth[number, :own] = np.arange(shared, len(path))
        queries.append(path[shared:])
        slots.append(number * widest + np.arange(own))
    mask = np.arange(longest) <= depth[:, None, :, None]
    return PathGroup(
        torch.from_numpy(np.concatenate(queries)),
        torch.from_numpy(np.concatenate(slots)),
        torch.from_numpy(keys),
        torch.from_numpy(mask),
    )


def attend_along_paths(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    paths: Sequence[PathGroup] = (),
    **ignored: Any,
) -> tuple[Tensor, None]:
    """An attention function as `transformers` calls it.

    Args:
        module: The attention layer.
        query: Shape (R, heads, L, head size).
        key: Shape (R, key heads, L, head size).
        value: Like `key`.
        attention_mask: Not looked at.
        dropout: Probability.
        scaling: Factor on the scores.
        ignored: What other attention functions are given.
        paths: Who attends to whom.

    Returns:
        Shape (R, L, heads, head size), 0 on padding, and None.
    """
    rows, heads, length, _size = query.shape
    flat_query, flat_key, flat_value = (
        part.transpose(1, 2).reshape(rows * length, part.shape[1], part.shape[-1])
        for part in (query, key, value)
    )
    repeats = heads // key.shape[1]
    output = flat_value.new_zeros(rows * length, heads, value.shape[-1])
    for group in paths:
        count, width = group.mask.shape[0], group.mask.shape[2]
        block = flat_query.new_zeros(count * width, heads, query.shape[-1])
        block = block.index_copy(0, group.slots, flat_query.index_select(0, group.queries))
        path_key, path_value = (
            part.index_select(0, group.keys.flatten())
            .view(*group.keys.shape, -1, part.shape[-1])
            .transpose(1, 2)
            for part in (flat_key, flat_value)
        )
        if repeats > 1:
            path_key = path_key.repeat_interleave(repeats, dim=1)
            path_value = path_value.repeat_interleave(repeats, dim=1)
        found = nn.functional.scaled_dot_product_attention(
            block.view(count, width, heads, -1).transpose(1, 2),
            path_key,
            path_value,
            attn_mask=group.mask,
            dropout_p=dropout,
            scale=scaling,
        )
        own = found.transpose(1, 2).reshape(count * width, heads, -1).index_select(0, group.slots)
        output = output.index_copy(0, group.queries, own)
    return output.view(rows, length, heads, -1), None


@contextmanager
def along_paths(config: Any) -> Iterator[None]:
    """Let the layers of a model attend along paths for one forward pass (with ``paths=`` given to it)."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend_along_paths)
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before
