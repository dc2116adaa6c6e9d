"""Which way the layers of a model attend along token trees, and letting them do so for one pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from toolwise.learning import path_attention, stem_attention, tree_attention
from toolwise.learning.last_layer import trimming
from toolwise.learning.packing import TokenBatch
from toolwise.learning.sight import sight_along

NAMES = (path_attention.NAME, tree_attention.NAME)


def chosen_attention(model: Any, batch: TokenBatch, dtype: Any) -> tuple[str, dict[str, Any]]:
    """The attention for a batch on its device: FlexAttention where there is its kernel, else along paths.

    Args:
        model: Who attends.
        batch: Packed trees, on the model's device.
        dtype: In which the model computes.

    Returns:
        Its name, and what the model has to be called with.
    """
    device = batch.input_ids.device
    if tree_attention.usable(device.type):
        return tree_attention.NAME, {"blocks": tree_attention.tree_blocks(batch)}
    sight = sight_along(
        batch.paths,
        batch.size,
        asked=batch.predecessor.cpu().numpy(),
        stems=stem_attention.possible(model.config.get_text_config(), device.type, model.training),
        device=device,
        dtype=dtype,
    )
    return path_attention.NAME, {"paths": sight}


@contextmanager
def attending(model: Any, name: str) -> Iterator[None]:
    """Let the layers of a model attend in the way of this name for one pass.

    Args:
        model: A Hugging Face model.
        name: One of `NAMES`.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(path_attention.NAME, path_attention.attend_along_paths)
    AttentionInterface.register(tree_attention.NAME, tree_attention.attend_by_blocks)
    config = model.config.get_text_config()
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        with trimming(model.get_decoder()):
            yield
    finally:
        config._attn_implementation = before
