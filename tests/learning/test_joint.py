"""L = L_original + λ·L_augmentation, exactly, and a stopped run that equals the straight one."""

from __future__ import annotations

import pytest
import torch

from toolwise.core import ToolwiseError
from toolwise.learning import Learner, LearnerConfig, RunFolder, SupervisedLossConfig
from toolwise.learning.joint import joint_batch, train_joint
from toolwise.systems.few_shot import pair_tree
from toolwise.systems.fresh import fresh_model
from toolwise.systems.recipe import FreshModel

SIZE = FreshModel(hidden_size=16, layers=1, heads=1, vocabulary=320, context=128, tags=("<mask>",))
PAIRS = [
    (f"Question: {n}? Answer: <mask>. Context: {n} is {n * n}", f"Question: {n}? Answer: {n * n}")
    for n in range(7)
]


@pytest.fixture
def fresh():
    model, tokenizer = fresh_model(SIZE, [text for pair in PAIRS for text in pair] * 3, seed=1)
    return model, [pair_tree(str(number), pair, tokenizer, 100) for number, pair in enumerate(PAIRS)]


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_loss_is_the_sum_of_two_token_means(fresh, weight):
    model, trees = fresh
    learner = Learner(model, LearnerConfig(learning_rate=1e-3))
    mean, total = SupervisedLossConfig(), SupervisedLossConfig(aggregation="token-sum")
    original, augmentation = trees[:2], trees[2:5]
    expected = (
        learner.evaluate(original, mean)["loss"] + weight * learner.evaluate(augmentation, mean)["loss"]
    )
    found = learner.evaluate(joint_batch(original, augmentation, weight), total)["loss"]
    assert found == pytest.approx(expected, rel=1e-5)


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_stop_and_resume_is_the_straight_run(tmp_path):
    def run(folder, epochs):
        model, tokenizer = fresh_model(SIZE, [text for pair in PAIRS for text in pair] * 3, seed=1)
        trees = [pair_tree(str(number), pair, tokenizer, 100) for number, pair in enumerate(PAIRS)]
        learner = Learner(model, LearnerConfig(learning_rate=1e-3))
        train_joint(
            learner, trees[:3], trees[3:], run=RunFolder(folder), batch_size=2,
            epochs=epochs, weight=1.0, seed=3,
            tokenizer=tokenizer,
        )  # fmt: skip
        return weights(model)

    straight = run(tmp_path / "straight", 3)
    run(tmp_path / "stopped", 1)
    assert torch.equal(run(tmp_path / "stopped", 3), straight)


def test_nothing_to_train_on_is_refused(fresh, tmp_path):
    model, trees = fresh
    learner = Learner(model, LearnerConfig())
    with pytest.raises(ToolwiseError, match="nothing to train on"):
        train_joint(learner, [], trees, run=RunFolder(tmp_path), batch_size=2, epochs=1, weight=1.0, seed=0)
