"""Attention along paths, whole or cut into shared runs, is attention under the tree's dense mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_helpers import random_advantages, random_tree

from toolwise.learning import TokenTree, pack, path_layout
from toolwise.learning.path_attention import BatchPaths, attend_along_paths
from toolwise.learning.path_layout import cut_paths


def batch_of(seed, count=4, **options):
    rng = np.random.default_rng(seed)
    trees = [random_tree(rng, f"t{index}", **options) for index in range(count)]
    flat = [TokenTree.reinforced(tree, random_advantages(rng, tree)) for tree in trees]
    (batch,) = pack(flat, 4096, row_length=256)
    return batch


def attended(batch, parts, least, monkeypatch, dropout=0.0):
    """Output and gradients of attention along paths, with runs from `least` tokens on."""
    monkeypatch.setattr(path_layout, "LEAST_SHARED", least)
    parts = [part.detach().clone().requires_grad_() for part in parts]
    paths = BatchPaths(batch.paths, "cpu", parts[0].dtype)
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


@pytest.mark.parametrize("least", [1, 3, 10**6])
@pytest.mark.parametrize("seed", range(6))
def test_output_and_gradients_are_those_of_the_dense_mask(seed, least, monkeypatch):
    batch = batch_of(seed)
    rows, length = batch.input_ids.shape
    torch.manual_seed(seed)
    parts = [torch.randn(rows, heads, length, 8, dtype=torch.float64) for heads in (4, 2, 2)]
    real = batch.enter >= 0
    found, mine = attended(batch, parts, least, monkeypatch)
    wanted, theirs = dense(batch, parts)
    assert torch.allclose(found[real], wanted[real], atol=1e-12)
    above = torch.randn_like(wanted) * real[..., None, None]
    found.backward(above)
    wanted.backward(above)
    for left, right in zip(mine, theirs, strict=True):
        assert torch.allclose(left.grad, right.grad, atol=1e-12)
        assert float(left.grad.abs().max()) > 0


def test_half_precision_is_merged_in_single(monkeypatch):
    batch = batch_of(3)
    rows, length = batch.input_ids.shape
    torch.manual_seed(3)
    parts = [torch.randn(rows, 2, length, 8) for _ in range(3)]
    real = batch.enter >= 0
    wanted, _ = attended(batch, parts, 1, monkeypatch)
    found, narrow = attended(batch, [part.bfloat16() for part in parts], 1, monkeypatch)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found[real].float(), wanted[real], atol=0.05)
    found.sum().backward()
    assert all(part.grad.dtype == torch.bfloat16 for part in narrow)
    assert all(bool(part.grad.isfinite().all()) for part in narrow)


def test_dropout_is_applied_where_it_is_asked_for(monkeypatch):
    batch = batch_of(1)
    rows, length = batch.input_ids.shape
    parts = [torch.randn(rows, 2, length, 8) for _ in range(3)]
    plain, _ = attended(batch, parts, 1, monkeypatch)
    dropped, _ = attended(batch, parts, 1, monkeypatch, dropout=0.5)
    assert not torch.allclose(plain, dropped)


@pytest.mark.parametrize("least", [1, 2, 4])
@pytest.mark.parametrize("seed", range(6))
def test_every_token_sees_its_path_once(seed, least, monkeypatch):
    monkeypatch.setattr(path_layout, "LEAST_SHARED", least)
    batch = batch_of(seed)
    rests, shared = cut_paths(batch.paths)
    assert all(len(run.keys) >= least for run in shared)
    sees: dict[int, list[int]] = {}
    for rest in rests:
        for depth, place in enumerate(rest.tolist()):
            before = sees.setdefault(place, rest[: depth + 1].tolist())
            assert before == rest[: depth + 1].tolist()
    for run in shared:
        for place in run.queries.tolist():
            sees[place] += run.keys.tolist()
    for path in batch.paths:
        for depth, place in enumerate(path.tolist()):
            assert sorted(sees[place]) == sorted(path[: depth + 1].tolist())


def test_rollouts_that_end_where_another_goes_on_or_are_the_same(monkeypatch):
    monkeypatch.setattr(path_layout, "LEAST_SHARED", 1)
    path = np.arange(5)
    rests, shared = cut_paths([path, path[:3], path])
    assert [run.keys.tolist() for run in shared] == [[0, 1, 2]]
    assert [run.queries.tolist() for run in shared] == [[3, 4]]
    assert [rest.tolist() for rest in rests] == [[0, 1, 2], [3, 4]]
