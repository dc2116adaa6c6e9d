"""PPO with a critic in the loop: what is logged, kept and refused; stopped and resumed equals straight."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from loop_helpers import STEPS, CountingReward, learn_with_critic, policy, sample_trees
from test_loops import metrics, same
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

from toolwise.advantages import GAE, GRPOConfig, build_advantage
from toolwise.core import ToolwiseError
from toolwise.learning import (
    Critic,
    CriticConfig,
    Learner,
    LearnerConfig,
    RunFolder,
    TokenTree,
    score,
    train_policy,
    value_model,
)
from toolwise.learning.experience import reward_penalties
from toolwise.learning.losses import KLInRewardConfig


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    return folder, *learn_with_critic(folder)


def test_a_straight_run_writes_what_the_critic_did(straight):
    folder, model, critic = straight
    lines = metrics(folder)
    named = "value_loss value_clip_share critic_grad_norm critic_learning_rate returns_mean values_mean"
    assert set(named.split()) <= lines[0].keys()
    assert "explained_variance" in lines[-1]
    # The policy waits for one step while the critic learns.
    assert "loss" not in lines[0]
    assert "loss" in lines[1]
    assert lines[0]["critic_learning_rate"] == 1e-2
    assert lines[1]["learning_rate"] == 3e-3
    assert not same(critic, value_model(policy(), seed=3))
    newest = RunFolder(folder).checkpoints[-1]
    loaded = AutoModelForTokenClassification.from_pretrained(newest / "critic")
    assert same(loaded, critic)
    assert same(AutoModelForCausalLM.from_pretrained(newest), model)
    state = torch.load(newest / "trainer_state.pt", weights_only=True)
    # Two passes of two mini-batches; the policy had one step less.
    assert (state["critic"]["steps"], state["learner"]["steps"]) == (4 * STEPS, 4 * (STEPS - 1))


def test_the_policy_stays_as_it_is_while_the_critic_warms_up(tmp_path):
    model, critic = learn_with_critic(tmp_path, steps=3, warmup_steps=3)
    assert same(model, policy())
    assert not same(critic, value_model(policy(), seed=3))
    losses = [line["value_loss"] for line in metrics(tmp_path)]
    assert losses[-1] < losses[0]


def test_stop_and_resume_equals_the_straight_run(straight, tmp_path):
    learn_with_critic(tmp_path, steps=4)
    model, critic = learn_with_critic(tmp_path)
    assert same(model, straight[1])
    assert same(critic, straight[2])
    assert metrics(tmp_path) == metrics(straight[0])


def test_killed_within_a_step_and_resumed_equals_the_straight_run(straight, tmp_path):
    script = Path(__file__).with_name("loop_helpers.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), "5", "critic"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert len(metrics(tmp_path)) == 4
    assert RunFolder(tmp_path).checkpoints[-1].name == "step_000003"
    model, critic = learn_with_critic(tmp_path)
    assert same(model, straight[1])
    assert same(critic, straight[2])
    assert metrics(tmp_path) == metrics(straight[0])


def test_a_step_that_failed_when_only_the_critic_had_learned_is_not_saved(straight, tmp_path, monkeypatch):
    step = Critic.step

    def fails(self, trees):
        if self.steps == 4 * 4 + 1:  # the second update of step 5; the policy's first one is done
            raise ToolwiseError("the critic's gradient has norm nan")
        return step(self, trees)

    with monkeypatch.context() as patched:
        patched.setattr(Critic, "step", fails)
        with pytest.raises(ToolwiseError, match=r"norm nan\n→ 3 of 7 steps are safe"):
            learn_with_critic(tmp_path)
    model, critic = learn_with_critic(tmp_path)
    assert same(model, straight[1])
    assert same(critic, straight[2])


def test_a_critic_and_an_estimator_that_do_not_fit_are_refused(tmp_path):
    model = policy()
    critic = Critic(value_model(model, 0), CriticConfig())
    arguments = (Learner(model, LearnerConfig()), lambda step: sample_trees(model, step), CountingReward())
    options = {"run": RunFolder(tmp_path), "steps": 1, "seed": 0}
    with pytest.raises(ToolwiseError, match="the advantage needs a critic"):
        train_policy(*arguments, GAE(), **options)
    with pytest.raises(ToolwiseError, match="no use for a critic"):
        train_policy(*arguments, build_advantage(GRPOConfig()), critic=critic, **options)


def test_a_checkpoint_without_a_critic_is_refused_where_one_is_wanted(straight, tmp_path):
    run = RunFolder(tmp_path)
    run.save(1, Learner(policy(), LearnerConfig()))
    with pytest.raises(ToolwiseError, match="cannot be read"):
        run.resume(
            Learner(policy(), LearnerConfig()), critic=Critic(value_model(policy(), 0), CriticConfig())
        )


def test_advantages_and_targets_of_a_step_are_those_of_gae_less_the_penalty():
    model, other = policy(), policy(seed=1)
    critic = Critic(value_model(model, seed=3), CriticConfig())
    trees = sample_trees(model, 1)
    flat = critic.annotate_values([TokenTree.reinforced(tree) for tree in trees])
    flat = Learner(model, LearnerConfig()).annotate_reference(flat, other)
    config = KLInRewardConfig(coefficient=0.3)
    penalties = reward_penalties(flat, config)
    experience = score(trees, CountingReward(), GAE(whitening=False), flat=flat, penalties=penalties)
    found = experience.token_trees()
    for number, tree in enumerate(found):
        for rollout in range(3):
            mine = tree.pair_rollout == rollout
            tokens = tree.pair_token[mine]
            assert len(tokens) == 4
            kl = 0.3 * (tree.old_logprobs[tokens] - tree.ref_logprobs[tokens])
            rewards = -kl
            rewards[-1] += experience.rewards[number][rollout].total
            to_go = np.cumsum(rewards[::-1])[::-1]
            assert tree.pair_return[mine] == pytest.approx(to_go)
            assert tree.pair_advantage[mine] == pytest.approx(to_go - tree.values[tokens])
    # What the reward function said is what is reported.
    assert experience.rewards == score(trees, CountingReward(), build_advantage(GRPOConfig())).rewards
    with pytest.raises(ToolwiseError, match="no reference"):
        reward_penalties([TokenTree.reinforced(tree) for tree in trees], config)


def test_the_policy_learns_what_is_rewarded_with_a_critic(tmp_path):
    model = policy()
    critic = Critic(value_model(model, 0), CriticConfig(learner=LearnerConfig(learning_rate=1e-2)))
    train_policy(
        Learner(model, LearnerConfig(learning_rate=1e-2)),
        lambda step: sample_trees(model, step),
        lambda task, rollouts: CountingReward()(task, rollouts),
        GAE(),
        run=RunFolder(tmp_path),
        steps=40,
        seed=0,
        critic=critic,
    )
    right = [line["accuracy"] for line in metrics(tmp_path)]
    assert sum(right[-5:]) / 5 > sum(right[:5]) / 5 + 0.3
