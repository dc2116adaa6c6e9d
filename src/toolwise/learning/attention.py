"""Which way the layers of a model attend along token trees, and letting them do so for one pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from toolwise.learning import path_attention, tree_attention
from toolwise.learning.packing import TokenBatch

NAMES = (path_attention.NAME, tree_attention.NAME)


def chosen_attention(batch: TokenBatch, dtype: Any) -> tuple[str, dict[str, Any]]:
    """The attention for a batch on its device: FlexAttention where there is its kernel, else along paths.

    Args:
        batch: Packed trees, on the model's device.
        dtype: In which the model computes.

    Returns:
        Its name, and what the model has to be called with.
    """
    if tree_attention.usable(batch.input_ids.device.type):
        return tree_attention.NAME, {"blocks": tree_attention.tree_blocks(batch)}
    return path_attention.NAME, {"paths": tuple(group.scored(dtype) for group in batch.paths)}


@contextmanager
def attending(config: Any, name: str) -> Iterator[None]:
    """Let the layers of a model attend in the way of this name for one pass.

    Args:
        config: The model's text configuration.
        name: One of `NAMES`.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(path_attention.NAME, path_attention.attend_along_paths)
    AttentionInterface.register(tree_attention.NAME, tree_attention.attend_by_blocks)
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before
