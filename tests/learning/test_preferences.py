"""DPO on packed trees equals DPO on plain padded rows; weighted parts equal their own losses summed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from learning_helpers import VOCABULARY, padded, padded_logprobs, tiny_model
from torch.nn.functional import logsigmoid

from toolwise.core import RolloutEnd, RolloutTree, StopReason, Task, ToolwiseError, Turn
from toolwise.learning import (
    DPOLossConfig,
    Learner,
    LearnerConfig,
    SupervisedLossConfig,
    TokenTree,
    aggregation_factors,
)

BETA = 0.3


def tokens(rng, length):
    return tuple(int(token) for token in rng.integers(1, VOCABULARY, length))


def pair(rng, name):
    """A prompt with two answers; one of them may go over a tool."""
    task = Task(name, ({"role": "user", "content": "?"},))
    answers = []
    for _ in range(2):
        answer = [Turn("assistant", tokens(rng, int(rng.integers(1, 6))))]
        if rng.random() < 0.4:
            answer += [Turn("tool", tokens(rng, 3)), Turn("assistant", tokens(rng, 2))]
        answers.append(answer)
    ends = [RolloutEnd(0, place, name, StopReason.DEMONSTRATION) for place in range(2)]
    return RolloutTree.from_paths(task, Turn("prompt", tokens(rng, 4)), answers, ends)


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(5)
    return [pair(rng, f"pair {number}") for number in range(7)]


def learner(model, budget=4096):
    return Learner(model, LearnerConfig(learning_rate=1e-3, token_budget=budget, precision="float32"))


def plain_loss(model, reference, pairs):
    """The textbook way: every answer a padded row."""
    ones = [[np.ones(len(rollout.token_ids)) for rollout in tree.rollouts()] for tree in pairs]
    ids, seen, mask, _, _ = padded(pairs, ones, supervised=True)
    new, _ = padded_logprobs(model, ids, seen)
    with torch.no_grad():
        old, _ = padded_logprobs(reference, ids, seen)
    gained = ((new - old) * mask).sum(-1)
    margin = BETA * (gained[0::2] - gained[1::2])
    return -logsigmoid(margin).mean(), margin.detach()


@pytest.mark.parametrize("budget", [24, 60, 4096])
def test_packed_dpo_equals_padded_dpo(pairs, budget):
    model, reference = (tiny_model(seed=seed, dtype=torch.float64) for seed in (0, 1))
    expected, margin = plain_loss(model, reference, pairs)
    expected.backward()
    gradients = {name: part.grad.clone() for name, part in model.named_parameters()}
    model.zero_grad()
    own = learner(model, budget)
    own.config = own.config.model_copy(update={"grad_clip": None})
    trees = own.annotate_reference([TokenTree.supervised(tree) for tree in pairs], reference)
    loss = DPOLossConfig(beta=BETA)
    measured = own.evaluate(trees, loss)
    assert measured["loss"] == pytest.approx(expected.item(), abs=1e-9)
    assert measured["preference_accuracy"] == pytest.approx((margin > 0).double().mean().item())
    assert measured["reward_margin"] == pytest.approx(margin.mean().item(), abs=1e-8)
    assert measured["reward_chosen"] - measured["reward_rejected"] == pytest.approx(measured["reward_margin"])
    own.step(trees, loss)
    for name, part in model.named_parameters():
        torch.testing.assert_close(part.grad, gradients[name], atol=1e-8, rtol=1e-6)


def test_the_policy_itself_as_reference_gives_log_two_and_then_learns(pairs):
    own = learner(tiny_model(seed=2))
    trees = [TokenTree.supervised(tree) for tree in pairs]
    present = own.present_logprobs(trees)
    trees = [replace(tree, ref_logprobs=logprobs) for tree, logprobs in zip(trees, present, strict=True)]
    loss = DPOLossConfig(beta=BETA)
    assert own.evaluate(trees, loss)["loss"] == pytest.approx(np.log(2), abs=1e-5)
    for _ in range(8):
        own.step(trees, loss)
    after = own.evaluate(trees, loss)
    assert after["loss"] < np.log(2)
    assert after["reward_margin"] > 0


def test_what_is_no_pair_or_has_no_reference_is_refused(pairs):
    own = learner(tiny_model())
    trees = [TokenTree.supervised(tree) for tree in pairs]
    with pytest.raises(ToolwiseError, match="no reference log-probabilities"):
        own.evaluate(trees, DPOLossConfig())
    alone = RolloutTree.demonstration(pairs[0].task, [Turn("prompt", (1, 2)), Turn("assistant", (3,))])
    with pytest.raises(ToolwiseError, match="has 1 answers"):
        own.evaluate([TokenTree.supervised(alone)], DPOLossConfig())


def in_part(part, name, length):
    info = {"part": part} if part else {}
    task = Task(name, ({"role": "user", "content": "?"},), info=info)
    turns = [Turn("prompt", (1, 2, 3)), Turn("assistant", tuple(range(4, 4 + length)))]
    return TokenTree.supervised(RolloutTree.demonstration(task, turns))


def test_factors_of_weighted_parts_by_hand():
    trees = [
        in_part("answer", "a", 2),
        in_part("t5", "b", 5),
        in_part("t5", "c", 3),
        in_part("llama", "d", 4),
    ]
    parts = {"answer": 1.0, "t5": 0.5, "*": 2.0}
    # Means over tokens: 1/2; 0.5/8 for both of t5; 2/4 for what is not named.
    assert aggregation_factors(trees, "token-mean", None, parts).tolist() == [0.5, 0.0625, 0.0625, 0.5]
    means = aggregation_factors(trees, "seq-mean-token-mean", None, parts)
    assert means.tolist() == pytest.approx([1 / 2, 0.5 / 2 / 5, 0.5 / 2 / 3, 2 / 4])


def test_the_loss_of_parts_is_the_weighted_sum_of_their_own_losses():
    answers = [in_part("answer", "a", 2), in_part("answer", "b", 3)]
    rationales = [in_part("t5", "a", 9), in_part("t5", "b", 6)]
    own = learner(tiny_model(dtype=torch.float64), budget=16)
    alone = [own.evaluate(trees, SupervisedLossConfig())["loss"] for trees in (answers, rationales)]
    mixed = [answers[0], *rationales, answers[1]]
    together = own.evaluate(mixed, SupervisedLossConfig(parts={"answer": 1.0, "t5": 0.3}))["loss"]
    assert together == pytest.approx(alone[0] + 0.3 * alone[1], abs=1e-10)
    assert own.evaluate(mixed, SupervisedLossConfig())["loss"] != pytest.approx(together)


def test_a_part_without_a_weight_is_refused():
    with pytest.raises(ToolwiseError, match="part 't5' of the data has no weight"):
        aggregation_factors([in_part("t5", "a", 2)], "token-mean", None, {"answer": 1.0})
    with pytest.raises(ToolwiseError, match="belongs to no part"):
        aggregation_factors([in_part("", "a", 2)], "token-mean", None, {"answer": 1.0})
