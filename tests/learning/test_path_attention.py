"""Attention along paths is attention under the tree's dense mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_helpers import random_advantages, random_tree

from toolwise.learning import TokenTree, pack
from toolwise.learning.path_attention import attend_along_paths


def batch_of(seed, count=4, **options):
    rng = np.random.default_rng(seed)
    trees = [random_tree(rng, f"t{index}", **options) for index in range(count)]
    flat = [TokenTree.reinforced(tree, random_advantages(rng, tree)) for tree in trees]
    (batch,) = pack(flat, 4096, row_length=256)
    return batch


def attended(batch, parts, dropout=0.0):
    """Output of attention along paths, and what it was computed from."""
    parts = [part.detach().clone().requires_grad_() for part in parts]
    paths = tuple(group.scored(parts[0].dtype) for group in batch.paths)
    found, _ = attend_along_paths(
        torch.nn.Identity(), *parts, None, dropout=dropout, scaling=0.3, paths=paths
    )
    return found, parts


def dense(batch, parts):
    parts = [part.detach().clone().requires_grad_() for part in parts]
    mask = batch.attention_mask() | (batch.enter < 0)[:, None, :, None]
    found = torch.nn.functional.scaled_dot_product_attention(
        *parts, attn_mask=mask, scale=0.3, enable_gqa=True
    )
    return found.transpose(1, 2), parts


@pytest.mark.parametrize("seed", range(6))
def test_output_and_gradients_are_those_of_the_dense_mask(seed):
    batch = batch_of(seed)
    rows, length = batch.input_ids.shape
    torch.manual_seed(seed)
    parts = [torch.randn(rows, heads, length, 8, dtype=torch.float64) for heads in (4, 2, 2)]
    real = batch.enter >= 0
    found, mine = attended(batch, parts)
    wanted, theirs = dense(batch, parts)
    assert torch.allclose(found[real], wanted[real], atol=1e-12)
    above = torch.randn_like(wanted) * real[..., None, None]
    found.backward(above)
    wanted.backward(above)
    for left, right in zip(mine, theirs, strict=True):
        assert torch.allclose(left.grad, right.grad, atol=1e-12)
        assert float(left.grad.abs().max()) > 0


def test_dropout_is_applied_where_it_is_asked_for():
    batch = batch_of(1)
    rows, length = batch.input_ids.shape
    parts = [torch.randn(rows, 2, length, 8) for _ in range(3)]
    plain, _ = attended(batch, parts)
    dropped, _ = attended(batch, parts, dropout=0.5)
    assert not torch.allclose(plain, dropped)
