"""Trees cut between their rollouts: nothing lost, and loss and gradients are those of the whole trees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning_helpers import random_advantages, random_tree, tiny_model

from toolwise.learning import Learner, LearnerConfig, TokenTree
from toolwise.learning.losses import KLConfig, PPOLossConfig
from toolwise.learning.objectives import SupervisedLossConfig
from toolwise.learning.splitting import pieces


def trees(seed: int, count: int = 4):
    rng = np.random.default_rng(seed)
    found = [random_tree(rng, f"t{number}", turns=8) for number in range(count)]
    return [TokenTree.reinforced(tree).credited(random_advantages(rng, tree), None) for tree in found]


@pytest.mark.parametrize("budget", [1, 8, 14, 10_000])
def test_every_pair_is_in_one_piece_and_budgets_are_kept(budget):
    whole = trees(3)
    found = pieces(whole, budget)
    assert all(len(part.tree) <= budget or len(part.tree.paths) == 1 for part in found)
    if budget < 10_000:
        assert len(found) > len(whole)
    for number, tree in enumerate(whole):
        mine = [part for part in found if part.origin == number]
        assert sum(len(part.tree.paths) for part in mine) == len(tree.paths)
        joined = np.concatenate([part.tokens[part.tree.pair_token] for part in mine])
        assert joined.tolist() == tree.pair_token.tolist()
        rollouts = iter(range(len(tree.paths)))
        for part in mine:
            for at, _ in enumerate(part.tree.paths):
                there = tree.path_tokens(next(rollouts))
                assert part.tokens[part.tree.path_tokens(at)].tolist() == there.tolist()
            # What each token sees is what it saw.
            enter, leave, before = part.tree.enter, part.tree.exit, part.tree.predecessor
            sees = (enter <= enter[:, None]) & (enter[:, None] < leave)
            old = (tree.enter <= tree.enter[:, None]) & (tree.enter[:, None] < tree.exit)
            assert (sees == old[np.ix_(part.tokens, part.tokens)]).all()
            assert (part.tokens[before[before >= 0]] == tree.predecessor[part.tokens][before >= 0]).all()


@pytest.mark.parametrize(
    "loss", [SupervisedLossConfig(), PPOLossConfig(kl=KLConfig(coefficient=0.1), entropy_coefficient=0.1)]
)
def test_loss_and_gradients_are_those_of_whole_trees(loss):
    found = []
    for budget in (10_000, 9):
        model = tiny_model(dtype=torch.float64)
        learner = Learner(model, LearnerConfig(token_budget=budget, grad_clip=None))
        annotated = learner.annotate_reference(trees(5), tiny_model(seed=1, dtype=torch.float64))
        metrics = learner.step(annotated, loss)
        gradients = [parameter.grad for parameter in model.parameters()]
        found.append((metrics, [tree.ref_logprobs for tree in annotated], gradients))
    (whole, logprobs, gradients), (cut, cut_logprobs, cut_gradients) = found
    assert cut["unique_tokens"] > whole["unique_tokens"], "something was cut"
    assert cut["loss"] == pytest.approx(whole["loss"], rel=1e-12)
    assert cut["oversized_rollouts"] > whole["oversized_rollouts"] == 0
    for one, other in zip(logprobs, cut_logprobs, strict=True):
        assert np.allclose(one, other, atol=1e-12)
    for one, other in zip(gradients, cut_gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-10)
