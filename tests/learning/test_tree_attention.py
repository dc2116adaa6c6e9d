"""Attention by blocks sees what the tree says, and skips the blocks of other trees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_helpers import random_advantages, random_tree, tiny_model

from toolwise.learning import TokenTree, pack, token_logprobs, tree_attention
from toolwise.learning.attention import chosen_attention


def batches(seed: int, count: int, **options):
    rng = np.random.default_rng(seed)
    trees = [random_tree(rng, f"t{index}", **options) for index in range(count)]
    flat = [TokenTree.reinforced(tree, random_advantages(rng, tree)) for tree in trees]
    return pack(flat, 4096, row_length=256)


def test_without_its_kernel_paths_are_taken():
    (batch,) = batches(0, 3)
    assert chosen_attention(tiny_model(), batch, torch.float32)[0] != tree_attention.NAME


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
def test_log_probabilities_are_those_of_attention_along_paths(seed, kind, monkeypatch):
    model = tiny_model(kind, seed).eval()
    (batch,) = batches(seed, 6)
    with torch.no_grad():
        wanted, _ = token_logprobs(model, batch)
        monkeypatch.setattr(tree_attention, "usable", lambda device: True)
        found, _ = token_logprobs(model, batch)
    assert chosen_attention(model, batch, torch.float32)[0] == tree_attention.NAME
    assert torch.allclose(found, wanted, atol=2e-5)
    assert not torch.equal(wanted, wanted[torch.randperm(len(wanted))])


def test_blocks_of_other_trees_are_skipped():
    trees = 4
    rng = np.random.default_rng(0)
    made = [random_tree(rng, f"t{index}", turns=1, longest=1) for index in range(trees)]
    long = [
        type(tree)(
            tree.task,
            tuple(
                type(turn)(
                    turn.role, tuple(rng.integers(1, 30, 128).tolist()), sampled=True, logprobs=(0.0,) * 128
                )
                for turn in tree.turns
            ),
            tree.parents,
            tree.ends,
        )
        for tree in made
    ]
    flat = [TokenTree.reinforced(tree, random_advantages(rng, tree)) for tree in long]
    (batch,) = pack(flat, 4096, row_length=trees * 256)
    assert batch.input_ids.shape == (1, trees * 256)
    blocks = tree_attention.tree_blocks(batch)
    counted = int(blocks.kv_num_blocks.sum()) + int(blocks.full_kv_num_blocks.sum())
    # Two blocks of 128 tokens a tree: the second sees both, the first itself.
    assert counted == trees * 3


def test_dropout_is_refused():
    parts = torch.ones(1, 1, 4, 16)
    with pytest.raises(ValueError, match="dropout"):
        tree_attention.attend_by_blocks(torch.nn.Identity(), parts, parts, parts, None, dropout=0.1)
