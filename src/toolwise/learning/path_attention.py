"""Attention along the paths of token trees: cost follows the tokens that see each other, not the pack.

A dense mask over a row computes every pair of its tokens, of unrelated trees and of sibling branches too.
Here each rollout's own tokens (those that no earlier rollout of the tree has) attend to the tokens of their
path, gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

NAME = "toolwise_paths"
BUCKET = 64
"""Lengths that round up to the same multiple of this are computed together."""


@dataclass(frozen=True, slots=True)
class PathGroup:
    """P paths of similar lengths; places are indices into the flattened rows.

    Attributes:
        queries: Places of the tokens that ask, 0 on padding, shape (P, Lq).
        slots: Which of them, flattened, are the paths' own tokens, shape (Q,).
        own: Places of those, shape (Q,).
        keys: Places of the tokens of each path, 0 on padding, shape (P, Lk).
        mask: Which of them each query sees, bool, shape (P, 1, Lq, Lk); None where query i sees keys 0 … i.
    """

    queries: Tensor
    slots: Tensor
    own: Tensor
    keys: Tensor
    mask: Tensor | None

    def to(self, device: torch.device | str) -> PathGroup:
        """The same on another device."""
        queries, slots, own, keys = (
            part.to(device, non_blocking=True) for part in (self.queries, self.slots, self.own, self.keys)
        )
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        return PathGroup(queries, slots, own, keys, mask)

    def scored(self, dtype: torch.dtype) -> PathGroup:
        """The same with a mask that is added to the scores, so that no layer has to convert it again."""
        if self.mask is None:
            return self
        added = torch.zeros_like(self.mask, dtype=dtype).masked_fill_(~self.mask, -torch.inf)
        return replace(self, mask=added)


def path_groups(paths: Sequence[NDArray[np.int64]]) -> tuple[PathGroup, ...]:
    """Group paths by their lengths and by how many tokens are their own.

    Args:
        paths: Places of the tokens of each rollout, root first; rollouts of one tree stand together.
    """
    seen = np.zeros(1 + max((int(path.max()) for path in paths), default=0), dtype=bool)
    buckets: dict[tuple[int, int], list[tuple[NDArray[np.int64], int]]] = {}
    for path in paths:
        # What a path shares with earlier ones is a prefix of it.
        shared = int(np.count_nonzero(seen[path]))
        own = len(path) - shared
        if not own:
            continue
        seen[path[shared:]] = True
        # Asking for the shared tokens again is cheaper than a mask where they are the smaller part: causal
        # attention computes half a square, a mask the whole rectangle.
        asked = 0 if 2 * own > len(path) else -(-own // BUCKET)
        buckets.setdefault((-(-len(path) // BUCKET), asked), []).append((path, shared))
    return tuple(_group(members, causal=not asked) for (_, asked), members in sorted(buckets.items()))


def _group(members: Sequence[tuple[NDArray[np.int64], int]], *, causal: bool) -> PathGroup:
    longest = max(len(path) for path, _ in members)
    begins = [0 if causal else shared for _, shared in members]
    widest = max(len(path) - begin for (path, _), begin in zip(members, begins, strict=True))
    keys = np.zeros((len(members), longest), dtype=np.int64)
    queries = np.zeros((len(members), widest), dtype=np.int64)
    depth = np.zeros((len(members), widest), dtype=np.int64)
    own, slots = [], []
    for number, ((path, shared), begin) in enumerate(zip(members, begins, strict=True)):
        asked = len(path) - begin
        keys[number, : len(path)] = path
        queries[number, :asked] = path[begin:]
        depth[number, :asked] = np.arange(begin, len(path))
        own.append(path[shared:])
        slots.append(number * widest + np.arange(shared - begin, asked))
    mask = None if causal else torch.from_numpy(np.arange(longest) <= depth[:, None, :, None])
    return PathGroup(
        torch.from_numpy(queries),
        torch.from_numpy(np.concatenate(slots)),
        torch.from_numpy(np.concatenate(own)),
        torch.from_numpy(keys),
        mask,
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
    # The kernels for a GPU that take a mask want as many key heads as query heads.
    grouped = repeats > 1 and query.device.type == "cpu"
    output = flat_value.new_zeros(rows * length, heads, value.shape[-1])
    for group in paths:
        asking = _gathered(flat_query, group.queries)
        path_key, path_value = _gathered(flat_key, group.keys), _gathered(flat_value, group.keys)
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
        count, width = group.queries.shape
        own = found.transpose(1, 2).reshape(count * width, heads, -1).index_select(0, group.slots)
        output = output.index_copy(0, group.own, own)
    return output.view(rows, length, heads, -1), None


def _gathered(flat: Tensor, places: Tensor) -> Tensor:
    """From (N, heads, size) those at places (P, L), shape (P, heads, L, size)."""
    found = flat.index_select(0, places.flatten())
    return found.view(*places.shape, *flat.shape[1:]).transpose(1, 2)
