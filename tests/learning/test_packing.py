from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_helpers import random_advantages, random_tree

from toolwise.core import RolloutTree, Task, ToolwiseError, Turn
from toolwise.learning import TokenTree, aggregation_factors, pack, padding_share
from toolwise.learning.losses import sequence_weights


def demonstration(length: int, name: str = "t") -> TokenTree:
    task = Task(name, ({"role": "user", "content": "?"},))
    return TokenTree.supervised(RolloutTree.demonstration(task, [Turn("assistant", (1,) * length)]))


def ancestors(tree: TokenTree) -> list[set[int]]:
    """Per token the tokens that precede it on its path, itself included, by walking predecessors."""
    seen: list[set[int]] = []
    for token, before in enumerate(tree.predecessor):
        seen.append({token} | (seen[before] if before >= 0 else set()))
    return seen


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_a_flat_tree_holds_every_path_once(seed):
    rng = np.random.default_rng(seed)
    source = random_tree(rng)
    tree = TokenTree.reinforced(source, random_advantages(rng, source))
    used = {node for end in source.ends for node in source.path(end.leaf)}
    assert len(tree) == sum(len(source.turns[node].token_ids) for node in used)
    for number, rollout in enumerate(source.rollouts()):
        along = tree.path_tokens(number)
        assert tuple(tree.input_ids[along]) == rollout.token_ids
        assert list(tree.position_ids[along]) == list(range(len(along)))
        assert list(tree.predecessor[along]) == [-1, *along[:-1]]
    token = np.arange(len(tree))
    sees = (
        (token[None, :] <= token[:, None])
        & (tree.enter[None, :] <= tree.enter[:, None])
        & (tree.enter[:, None] < tree.exit[None, :])
    )
    for mine, want in zip(sees, ancestors(tree), strict=True):
        assert set(np.flatnonzero(mine).tolist()) == want


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 90), st.sampled_from([None, 1, 16, 40]))
def test_packing_keeps_every_token_and_nothing_sees_another_tree(seed, budget, row_length):
    rng = np.random.default_rng(seed)
    sources = [random_tree(rng, f"t{index}") for index in range(int(rng.integers(1, 12)))]
    trees = [TokenTree.reinforced(tree, random_advantages(rng, tree)) for tree in sources]
    batches = pack(trees, budget, row_length=row_length)
    packed = sorted(index for batch in batches for index in batch.sources)
    assert packed == [index for index, tree in enumerate(trees) if len(tree.pair_token)]
    for batch in batches:
        longest = max(len(trees[index]) for index in batch.sources)
        assert batch.size <= max(budget, longest)
        assert batch.tokens == sum(len(trees[index]) for index in batch.sources)
        assert int((batch.exit > 0).sum()) == batch.tokens
        mask = batch.attention_mask()[:, 0]
        real = batch.exit > 0
        assert bool(mask.diagonal(dim1=1, dim2=2).all())  # padding sees itself: no empty softmax
        assert not bool((mask & real[:, :, None] & ~real[:, None, :]).any())
        # Each token sees exactly its depth in tokens, and what it sees carries the depths 0, 1, … once each.
        seen = mask.sum(-1)[real]
        assert torch.equal(seen, batch.position_ids[real] + 1)
        depth = torch.where(mask, batch.position_ids[:, None, :], 0).sum(-1)[real]
        assert torch.equal(depth, batch.position_ids[real] * (batch.position_ids[real] + 1) // 2)
        assert torch.equal(batch.input_ids.flatten()[batch.trained], batch.targets)
        positions = batch.position_ids.flatten()
        assert torch.equal(positions[batch.predecessor] + 1, positions[batch.trained])
        for place, index in enumerate(batch.sources):
            mine = slice(batch.source_starts[place], batch.source_starts[place + 1])
            tokens = batch.source_tokens[mine]
            tree = trees[index]
            assert np.array_equal(tokens, np.unique(tree.pair_token))
            assert np.array_equal(batch.targets[mine].numpy(), tree.input_ids[tokens])
            assert np.allclose(batch.weight[mine], tree.weight[tokens])
            assert np.allclose(batch.advantage_pos[mine], tree.advantage_pos[tokens], atol=1e-6)
            assert np.allclose(batch.advantage_neg[mine], tree.advantage_neg[tokens], atol=1e-6)
            assert np.allclose(batch.old_logprobs[mine], tree.old_logprobs[tokens])


def test_budget_holds_and_short_trees_share_rows():
    rng = np.random.default_rng(0)
    trees = [demonstration(int(length)) for length in rng.integers(5, 30, 600)]
    batches = pack(trees, 2048)
    assert all(batch.size <= 2048 for batch in batches)
    assert padding_share(batches) < 0.03
    assert max(batch.input_ids.shape[1] for batch in batches) < 100


def test_a_tree_beyond_the_budget_gets_a_batch_of_its_own():
    batches = pack([demonstration(50), demonstration(10), demonstration(9)], 20)
    assert [batch.size for batch in batches] == [50, 19] or [batch.tokens for batch in batches] == [50, 19]


def test_a_rollout_beyond_the_context_is_named():
    with pytest.raises(ToolwiseError, match=r"task 'long'.*40 tokens.*holds 32"):
        pack([demonstration(8), demonstration(40, "long")], 100, context=32)


def test_a_wide_tree_may_have_more_tokens_than_the_context():
    task = Task("wide", ({"role": "user", "content": "?"},))
    from toolwise.core import RolloutEnd, StopReason

    tree = RolloutTree.from_paths(
        task,
        Turn("prompt", (1,) * 5),
        [[Turn("assistant", (2,) * 10, sampled=True, logprobs=(-1.0,) * 10)] for _ in range(8)],
        [RolloutEnd(0, sample, "g", StopReason.ANSWERED) for sample in range(8)],
    )
    flat = TokenTree.reinforced(tree, [np.ones(15)] * 8)
    assert len(flat) == 85
    assert len(pack([flat], 64, context=16)) == 1


def test_only_sampled_tokens_carry_reinforcement_and_weights_take_tokens_out():
    task = Task("t", ({"role": "user", "content": "?"},))
    turns = [
        Turn("prompt", (1, 2)),
        Turn("assistant", (3, 4), sampled=True, logprobs=(-1.0, -2.0)),
        Turn("tool", (5, 6)),
        Turn("assistant", (7,), sampled=True, logprobs=(-3.0,)),
    ]
    tree = RolloutTree.demonstration(task, turns)
    flat = TokenTree.reinforced(tree, [np.arange(7.0)])
    assert flat.weight.tolist() == [0, 0, 1, 1, 0, 0, 1]
    assert flat.advantage_pos.tolist() == [0, 0, 2, 3, 0, 0, 6]
    assert flat.old_logprobs.tolist() == [0, 0, -1, -2, 0, 0, -3]
    masked = TokenTree.reinforced(tree, [-np.ones(7)], [np.array([1, 1, 0, 0.5, 1, 1, 1])])
    assert masked.advantage_neg.tolist() == [0, 0, 0, -0.5, 0, 0, -1]
    taken_out = TokenTree.reinforced(tree, [np.ones(7)], [0.0])
    assert pack([taken_out], 10) == []


def test_a_supervised_tree_takes_the_weights_of_its_turns():
    task = Task("t", ({"role": "user", "content": "?"},))
    turns = [
        Turn("prompt", (1, 2)),
        Turn("assistant", (3, 4)),
        Turn("tool", (5, 6), weights=(0.0, 0.25)),
    ]
    flat = TokenTree.supervised(RolloutTree.demonstration(task, turns))
    assert flat.weight.tolist() == [0, 0, 1, 1, 0, 0.25]


def test_advantages_of_the_wrong_length_are_refused():
    tree = random_tree(np.random.default_rng(1), turns=3)
    with pytest.raises(ValueError, match="advantages"):
        TokenTree.reinforced(tree, [np.ones(1)] * len(tree.ends))
    with pytest.raises(ValueError, match="advantages"):
        TokenTree.reinforced(tree, [])


@pytest.mark.parametrize(
    "mode",
    ["token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"],
)
def test_aggregation_spans_all_trees_of_the_step(mode):
    rng = np.random.default_rng(4)
    sources = [random_tree(rng, f"t{index}") for index in range(6)]
    trees = [TokenTree.reinforced(tree, random_advantages(rng, tree)) for tree in sources]
    lengths = torch.tensor([length for tree in trees for length in tree.rollout_weights])
    factors = aggregation_factors(trees, mode, 9)
    assert np.array_equal(factors, sequence_weights(lengths, mode, horizon=9).numpy())
    batches = pack(trees, 30, factors=factors, dtype=torch.float64)
    assert len(batches) > 1
    total = sum(float(batch.weight.sum()) for batch in batches)
    wanted = {
        "token-mean": 1.0,
        "token-sum": float(lengths.sum()),
        "seq-mean-token-sum": float(lengths.sum() / (lengths > 0).sum()),
        "seq-mean-token-mean": 1.0,
        "seq-mean-token-sum-norm": float(lengths.sum() / (lengths > 0).sum() / 9),
    }
    assert total == pytest.approx(wanted[mode], rel=1e-12)


def test_a_missing_horizon_is_an_error_that_names_it():
    with pytest.raises(ToolwiseError, match="horizon"):
        aggregation_factors([demonstration(3)], "seq-mean-token-sum-norm")
