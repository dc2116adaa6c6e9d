"""Stopped and resumed equals straight, bit for bit, however the run was stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from loop_helpers import STEPS, CountingReward, demonstrations, imitate, learn, policy, sample_trees

from toolwise.advantages import GRPOConfig, build_advantage
from toolwise.core import Reward, ToolwiseError
from toolwise.learning import (
    Interrupted,
    Learner,
    LearnerConfig,
    RunFolder,
    score,
    train_policy,
    train_supervised,
)
from toolwise.learning.losses import KLConfig, PPOLossConfig


def metrics(folder: Path) -> list[dict]:
    """All lines; what the clock says is left out."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {
            name: value
            for name, value in line.items()
            if not name.startswith("seconds") and "per_second" not in name
        }
        for line in lines
    ]


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    return folder, learn(folder)


def test_a_straight_run_writes_its_folder(straight):
    folder, model = straight
    assert not same(model, policy())
    lines = metrics(folder)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    named = "reward_mean accuracy zero_variance_share clipped_share parse_error_share calls_per_rollout "
    named += "masked_share entropy kl approx_kl clip_share grad_norm learning_rate loss tokens unique_tokens "
    named += "padding_share trained_tokens"
    assert set(named.split()) <= lines[0].keys()
    assert lines[0]["learning_rate"] < lines[1]["learning_rate"] > lines[-1]["learning_rate"]
    # Two passes of two mini-batches over 2 prompts of 2 tokens and 6 answers of 4; alone: 6 rollouts of 6.
    assert (lines[0]["trained_tokens"], lines[0]["unique_tokens"], lines[0]["tokens"]) == (48, 56, 72)
    assert [path.name for path in RunFolder(folder).checkpoints] == ["step_000006", "step_000007"]
    records = [
        json.loads(line) for line in (folder / "rollouts" / "step_000002.jsonl").read_text().splitlines()
    ]
    assert len(records) == 6
    answer = records[0]["turns"][1]
    assert len(answer["advantages"]) == len(answer["logprobs"]) == len(answer["token_ids"]) == 4
    assert len({record["group"] for record in records}) == 2


def test_fresh_rollouts_are_on_policy():
    model = policy()
    learner = Learner(model, LearnerConfig())
    experience = score(sample_trees(model, 1), CountingReward(), build_advantage(GRPOConfig()))
    trees = learner.annotate_reference(experience.token_trees(), policy())
    found = learner.evaluate(trees, PPOLossConfig(kl=KLConfig(coefficient=1.0)))
    assert found["approx_kl"] == pytest.approx(0, abs=1e-6)
    assert found["kl"] == pytest.approx(0, abs=1e-6)
    assert found["clip_share"] == 0
    other = learner.annotate_reference(trees, policy(seed=1))
    assert learner.evaluate(other, PPOLossConfig(kl=KLConfig(coefficient=1.0)))["kl"] > 0.1


def test_the_kl_penalty_without_a_reference_is_refused():
    model = policy()
    experience = score(sample_trees(model, 1), CountingReward(), build_advantage(GRPOConfig()))
    with pytest.raises(ToolwiseError, match="reference"):
        Learner(model, LearnerConfig()).step(
            experience.token_trees(), PPOLossConfig(kl=KLConfig(coefficient=1.0))
        )


def test_the_policy_learns_what_is_rewarded(tmp_path):
    model = policy()
    learner = Learner(model, LearnerConfig(learning_rate=1e-2))

    def reward(task, rollouts):
        return [Reward(float(rollout.token_ids.count(7))) for rollout in rollouts]

    train_policy(
        learner,
        lambda step: sample_trees(model, step),
        reward,
        build_advantage(GRPOConfig()),
        run=RunFolder(tmp_path),
        steps=40,
        seed=0,
    )
    means = [line["reward_mean"] for line in metrics(tmp_path)]
    assert sum(means[-5:]) / 5 > sum(means[:5]) / 5 + 1.0


def test_stop_and_resume_equals_the_straight_run(straight, tmp_path):
    learn(tmp_path, steps=4)
    model = learn(tmp_path)
    assert same(model, straight[1])
    assert metrics(tmp_path) == metrics(straight[0])


def test_a_finished_run_is_left_alone(straight):
    folder, model = straight
    before = (folder / "metrics.jsonl").read_bytes()
    assert same(learn(folder), model)
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_killed_within_a_step_and_resumed_equals_the_straight_run(straight, tmp_path):
    script = Path(__file__).with_name("loop_helpers.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), "5"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert len(metrics(tmp_path)) == 4  # step 4 was done, but the newest checkpoint is of step 3
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "loss"')  # a line cut in the middle
    (tmp_path / "checkpoints" / ".step_000006.partial").mkdir()
    assert RunFolder(tmp_path).checkpoints[-1].name == "step_000003"
    model = learn(tmp_path)
    assert same(model, straight[1])
    assert metrics(tmp_path) == metrics(straight[0])
    names = [
        sorted(path.name for path in (folder / "rollouts").iterdir()) for folder in (tmp_path, straight[0])
    ]
    assert names[0] == names[1]


def test_ctrl_c_while_collecting_writes_a_checkpoint_and_says_so(straight, tmp_path):
    def press(step: int) -> None:
        if step == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match=r"4 of 7 steps are safe") as caught:
        learn(tmp_path, stop=press)
    assert isinstance(caught.value, ToolwiseError)
    assert RunFolder(tmp_path).checkpoints[-1].name == "step_000004"
    assert same(learn(tmp_path), straight[1])
    assert metrics(tmp_path) == metrics(straight[0])


def test_ctrl_c_within_an_update_waits_for_its_end(straight, tmp_path):
    class Pressing(CountingReward):
        def __call__(self, task, rollouts):
            if self.step == 5 and task.id == "t0":
                signal.raise_signal(signal.SIGINT)
            return super().__call__(task, rollouts)

    with pytest.raises(Interrupted, match=r"5 of 7 steps are safe"):
        learn(tmp_path, reward=Pressing())
    assert same(learn(tmp_path), straight[1])
    assert metrics(tmp_path) == metrics(straight[0])


def test_a_second_ctrl_c_goes_through_and_the_half_step_is_not_saved(straight, tmp_path):
    class Impatient(CountingReward):
        def __call__(self, task, rollouts):
            if self.step == 5:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            return super().__call__(task, rollouts)

    with pytest.raises(Interrupted, match=r"3 of 7 steps are safe"):
        learn(tmp_path, reward=Impatient())
    assert RunFolder(tmp_path).checkpoints[-1].name == "step_000003"
    assert same(learn(tmp_path), straight[1])


def test_supervised_training_resumes_bit_for_bit_and_shuffles_each_epoch(tmp_path):
    model = imitate(tmp_path / "straight", steps=7)

    def press(step: int, steps: int, metrics) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="5 of 7"):
        imitate(tmp_path / "stopped", steps=7, progress=press)
    assert same(imitate(tmp_path / "stopped", steps=7), model)
    lines = metrics(tmp_path / "straight")
    assert metrics(tmp_path / "stopped") == lines
    assert ["validation_loss" in line for line in lines] == [False, True, False, True, False, True, True]
    # Three steps (4 + 4 + 3 trees) make an epoch: its tokens add up to all there are, in another order.
    tokens = [line["unique_tokens"] for line in lines]
    assert sum(tokens[:3]) == sum(tokens[3:6]) == sum(len(tree) for tree in demonstrations())
    assert tokens[:3] != tokens[3:6]


def test_training_lowers_the_loss(tmp_path):
    imitate(tmp_path, steps=30)
    losses = [line["validation_loss"] for line in metrics(tmp_path) if "validation_loss" in line]
    assert losses[-1] < losses[0] - 1.0


@pytest.mark.parametrize("length", [{}, {"steps": 2, "epochs": 1}])
def test_the_length_must_be_given_once(tmp_path, length):
    learner = Learner(policy(), LearnerConfig())
    with pytest.raises(ToolwiseError, match="either 'steps' or 'epochs'"):
        train_supervised(learner, demonstrations(), run=RunFolder(tmp_path), batch_size=4, seed=0, **length)


class Failing(CountingReward):
    """Fails in the second group of step 5, when the first one has already changed its state."""

    def __call__(self, task, rollouts):
        found = super().__call__(task, rollouts)
        if self.step == 5 and task.id == "t1":
            self.best = 99.0
            raise KeyError("answer")
        return found


def test_a_reward_that_fails_takes_no_finished_step_with_it(straight, tmp_path):
    with pytest.raises(ToolwiseError) as caught:
        learn(tmp_path, reward=Failing())
    assert caught.value.problem == "the reward function raised KeyError: 'answer'"
    assert "task 't1'" in caught.value.where
    assert "test_loops.py, line" in caught.value.where
    assert "4 of 7 steps are safe" in caught.value.mend
    # Steps 3 and 6 write checkpoints; step 4's was written because step 5 failed.
    assert [path.name for path in RunFolder(tmp_path).checkpoints] == ["step_000003", "step_000004"]
    assert same(learn(tmp_path), straight[1])
    assert metrics(tmp_path) == metrics(straight[0])


def test_rollouts_that_fail_take_no_finished_step_with_them(straight, tmp_path):
    def stop(step):
        if step == 6:
            raise ToolwiseError("the server is gone", mend="start it again")

    with pytest.raises(ToolwiseError, match=r"the server is gone\n→ start it again; 5 of 7 steps are safe"):
        learn(tmp_path, stop=stop)
    assert same(learn(tmp_path), straight[1])


def test_a_step_that_failed_half_way_is_not_saved(straight, tmp_path, monkeypatch):
    """Weights that some of the step's updates have changed belong to no step."""
    step = Learner.step

    def fails(self, trees, loss, **options):
        if self.steps == 4 * 4 + 2:  # the third of the four updates of step 5
            raise ToolwiseError("the gradient has norm nan")
        return step(self, trees, loss, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Learner, "step", fails)
        with pytest.raises(ToolwiseError, match=r"norm nan\n→ 3 of 7 steps are safe"):
            learn(tmp_path)
    assert [path.name for path in RunFolder(tmp_path).checkpoints] == ["step_000003"]
    assert same(learn(tmp_path), straight[1])
