"""Models and groups of made-up tokens, of the sizes that the speed benchmarks measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from toolwise.core import RolloutEnd, RolloutTree, StopReason, Task, Turn

SIZES = {
    "1.4M": {
        "hidden_size": 128,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "intermediate_size": 384,
        "vocab_size": 2048,
    },
    "13M": {
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "intermediate_size": 1152,
        "vocab_size": 4096,
    },
    "0.5B": {
        "hidden_size": 896,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "intermediate_size": 4864,
        "vocab_size": 151936,
    },
    "1.5B": {
        "hidden_size": 1536,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "intermediate_size": 8960,
        "vocab_size": 151936,
    },
}
"""Shapes by about how many parameters they have; the last two are those of Qwen 2.5."""


def random_model(size: str, *, seed: int = 0, vocab_size: int | None = None, **changes: Any) -> Any:
    """A causal language model with random weights (Qwen 3's architecture, tied embeddings)."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    shape = SIZES[size] | ({} if vocab_size is None else {"vocab_size": vocab_size}) | changes
    torch.manual_seed(seed)
    config = Qwen3Config(
        **shape,
        max_position_embeddings=32768,
        tie_word_embeddings=True,
        pad_token_id=0,
        # The usual 0.02 is made for a width of about a thousand.
        initializer_range=0.02 * max(1.0, 1024 / shape["hidden_size"]) ** 0.5,
    )
    return Qwen3ForCausalLM(config)


def parameters(model: Any) -> int:
    """How many, shared ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def group(prompt: int, completion: int, samples: int, vocabulary: int, seed: int = 0) -> RolloutTree:
    """A prompt, and samples of one sampled turn each."""
    return tree_of([prompt, completion], [samples], vocabulary, seed)


def tree_of(lengths: Sequence[int], forks: Sequence[int], vocabulary: int, seed: int = 0) -> RolloutTree:
    """A tree of sampled turns below a prompt, that forks after each turn.

    Args:
        lengths: Tokens of the prompt and of the turns below it, depth by depth.
        forks: How many turns follow each one, depth by depth; one fewer than `lengths`.
        vocabulary: Tokens are drawn from 1 to this, exclusive.
        seed: Of the tokens.
    """
    rng = np.random.default_rng(seed)
    turns, parents, level = [_turn(rng, lengths[0], vocabulary, sampled=False)], [-1], [0]
    for length, fork in zip(lengths[1:], forks, strict=True):
        below = []
        for parent in level:
            for _ in range(fork):
                below.append(len(turns))
                turns.append(_turn(rng, length, vocabulary, sampled=True))
                parents.append(parent)
        level = below
    task = Task(f"t{seed}", ({"role": "user", "content": "?"},))
    ends = [RolloutEnd(leaf, number, task.id, StopReason.ANSWERED) for number, leaf in enumerate(level)]
    return RolloutTree(task, tuple(turns), tuple(parents), tuple(ends))


def _turn(rng: np.random.Generator, length: int, vocabulary: int, *, sampled: bool) -> Turn:
    tokens = tuple(rng.integers(1, vocabulary, length).tolist())
    logprobs = tuple(rng.normal(-3.0, 0.3, length).tolist()) if sampled else ()
    return Turn("assistant" if sampled else "prompt", tokens, sampled=sampled, logprobs=logprobs)
