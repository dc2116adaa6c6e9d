"""Attention along the paths of token trees: cost follows the tokens that see each other, not the pack.

A dense mask over a row computes every pair of its tokens, of unrelated trees and of sibling branches too.
Here each rollout's own tokens (those that no earlier rollout of the tree has) attend to the tokens of their
path, gathered; on a CPU, a long run of tokens that several rollouts share is one block of keys for all of
them, not gathered for each (see `merged_attention`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolwise.learning.merged_attention import attend_merged, can_merge
from toolwise.learning.path_layout import PathGroup, SharedRun, cut_paths, gathered, path_groups

NAME = "toolwise_paths"


class BatchPaths:
    """The paths of a packed batch, laid out in the way that a layer asks for; each layout is made once."""

    def __init__(
        self, paths: Sequence[NDArray[np.int64]], device: torch.device | str, dtype: torch.dtype
    ) -> None:
        """See `toolwise.learning.packing.TokenBatch.paths`.

        Args:
            paths: Places of the tokens of each rollout.
            device: Where attention is computed.
            dtype: In which scores are computed.
        """
        self._paths, self._device, self._dtype = paths, device, dtype

    def _ready(self, groups: Sequence[PathGroup]) -> tuple[PathGroup, ...]:
        return tuple(group.to(self._device).scored(self._dtype) for group in groups)

    @cached_property
    def whole(self) -> tuple[PathGroup, ...]:
        """Every path whole."""
        return self._ready(path_groups(self._paths))

    @cached_property
    def cut(self) -> tuple[tuple[PathGroup, ...], tuple[SharedRun, ...]]:
        """Paths without the long runs that several share, and those runs."""
        rests, shared = cut_paths(self._paths)
        return self._ready(path_groups(rests)), tuple(run.to(self._device) for run in shared)


def attend_along_paths(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    paths: BatchPaths | None = None,
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
    assert paths is not None
    rows, heads, length, _size = query.shape
    flat_query, flat_key, flat_value = (
        part.transpose(1, 2).reshape(rows * length, part.shape[1], part.shape[-1])
        for part in (query, key, value)
    )
    if can_merge(query, key, value, dropout):
        merged = attend_merged(flat_query, flat_key, flat_value, *paths.cut, scaling)
        return merged.view(rows, length, heads, -1), None
    repeats = heads // key.shape[1]
    # The kernels for a GPU that take a mask want as many key heads as query heads.
    grouped = repeats > 1 and query.device.type == "cpu"
    output = flat_value.new_zeros(rows * length, heads, value.shape[-1])
    for group in paths.whole:
        asking = gathered(flat_query, group.queries)
        path_key, path_value = gathered(flat_key, group.keys), gathered(flat_value, group.keys)
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
