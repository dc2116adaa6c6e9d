"""Attention along paths is attention under the tree's dense mask."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from learning_helpers import random_advantages, random_tree

from toolwise.learning import TokenTree, pack, sight, stem_attention
from toolwise.learning.path_attention import attend_along_paths
from toolwise.learning.sight import sight_along


def batch_of(seed, count=4, **options):
    rng = np.random.default_rng(seed)
    trees = [random_tree(rng, f"t{index}", **options) for index in range(count)]
    flat = [TokenTree.reinforced(tree, random_advantages(rng, tree)) for tree in trees]
    (batch,) = pack(flat, 4096, row_length=256)
    return batch


@pytest.fixture
def short_stems(monkeypatch):
    """Cut off every shared token, so that small trees have stems, one below the other."""
    monkeypatch.setattr(sight, "STEM_KEYS", 1)
    monkeypatch.setattr(sight, "STEM_PAIRS", 1)


def attended(batch, parts, dropout=0.0, stems=False):
    """Output of attention along paths, and what it was computed from."""
    parts = [part.detach().clone().requires_grad_() for part in parts]
    paths = sight_along(batch.paths, batch.size, stems=stems, dtype=parts[0].dtype)
    assert bool(paths.stems) == stems
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


@pytest.mark.parametrize("stems", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_output_and_gradients_are_those_of_the_dense_mask(seed, stems, short_stems):
    batch = batch_of(seed)
    rows, length = batch.input_ids.shape
    torch.manual_seed(seed)
    parts = [torch.randn(rows, heads, length, 8, dtype=torch.float64) for heads in (4, 2, 2)]
    real = batch.enter >= 0
    found, mine = attended(batch, parts, stems=stems)
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


@pytest.mark.parametrize("heads,key_heads", [(2, 2), (6, 3), (4, 1)])
def test_long_stems_for_any_number_of_key_heads(heads, key_heads):
    rng = np.random.default_rng(3)
    tree = random_tree(rng, "t", turns=6, longest=200)
    (batch,) = pack([TokenTree.reinforced(tree, random_advantages(rng, tree))], 4096)
    rows, length = batch.input_ids.shape
    torch.manual_seed(0)
    parts = [
        torch.randn(rows, number, length, 16, dtype=torch.float64) for number in (heads, key_heads, key_heads)
    ]
    found, mine = attended(batch, parts, stems=True)
    wanted, theirs = dense(batch, parts)
    assert torch.allclose(found, wanted, atol=1e-12)
    above = torch.randn_like(wanted)
    found.backward(above)
    wanted.backward(above)
    assert all(
        torch.allclose(left.grad, right.grad, atol=1e-12) for left, right in zip(mine, theirs, strict=True)
    )


def test_the_kernel_is_compared_with_the_public_function(monkeypatch):
    config = SimpleNamespace(attention_dropout=0.1)
    known = stem_attention._known_kernel
    known.cache_clear()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert stem_attention.possible(config, "cpu", training=False)
    assert not stem_attention.possible(config, "cpu", training=True)
    assert not stem_attention.possible(config, "cuda", training=False)
    monkeypatch.setattr(stem_attention, "_attend", lambda query, *_, **__: (query, query[..., 0]))
    known.cache_clear()
    assert not stem_attention.possible(config, "cpu", training=False)
    known.cache_clear()


def test_stems_in_half_precision(short_stems):
    batch = batch_of(2)
    rows, length = batch.input_ids.shape
    torch.manual_seed(0)
    parts = [torch.randn(rows, heads, length, 16) for heads in (4, 2, 2)]
    wanted, _ = attended(batch, parts, stems=True)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = attended(batch, parts, stems=True)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), wanted, atol=0.05)


@pytest.mark.parametrize("seed", range(20))
def test_every_pair_is_computed_once(seed, short_stems):
    """Who is asked, in groups and in stems together, is whom the tree lets see."""
    batch = batch_of(seed)
    asked = batch.predecessor.numpy()
    whole = sight_along(batch.paths, batch.size, asked=asked, stems=True)
    rows, length = batch.input_ids.shape
    mask = torch.zeros(batch.size, batch.size, dtype=torch.int64)
    for row in range(rows):
        here = slice(row * length, (row + 1) * length)
        mask[here, here] = batch.attention_mask()[row, 0].long()
    mask[batch.enter.flatten() < 0] = 0
    for found, places in (
        (whole, np.arange(batch.size)),
        (whole.last and whole.last.sight, np.unique(asked)),
    ):
        if found is None:
            continue
        pairs = torch.zeros(len(places), batch.size, dtype=torch.int64)
        for group in found.groups:
            width = group.queries.shape[1]
            for slot, query in zip(group.slots.tolist(), group.own.tolist(), strict=True):
                piece, at = divmod(slot, width)
                assert int(group.queries[piece, at]) == query
                seen = (
                    torch.arange(group.keys.shape[1]) <= at
                    if group.mask is None
                    else group.mask[piece, 0, at] == 0
                )
                pairs[query].index_add_(
                    0, group.keys[piece][seen], torch.ones(int(seen.sum()), dtype=torch.int64)
                )
        for stem in found.stems:
            pairs[slice(*stem.queries), slice(*stem.keys)] += 1
        assert torch.equal(pairs, mask[torch.from_numpy(places)])
