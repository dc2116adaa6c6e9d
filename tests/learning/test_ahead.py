"""Sampling one step ahead: whose weights sample what, the correction, and stop + resume = straight."""

from __future__ import annotations

import copy
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_helpers import random_advantages, random_tree, tiny_model
from loop_helpers import sample_trees

from toolwise.advantages import GRPOConfig, build_advantage
from toolwise.core import Reward
from toolwise.learning import (
    Ahead,
    Interrupted,
    Learner,
    LearnerConfig,
    RunFolder,
    TokenTree,
    corrected,
    train_policy,
)
from toolwise.systems import load_recipe
from toolwise.systems.recipe import Overlap

STEPS = 5


class Watched:
    """A model, a frozen copy that is sampled from, and which weights sampled which step."""

    def __init__(self) -> None:
        self.model = tiny_model(seed=0, hidden_size=32, intermediate_size=64)
        self.copy = copy.deepcopy(self.model)
        self.frozen, self.sampled, self.threads = [], {}, set()

    def freeze(self) -> None:
        self.copy.load_state_dict(self.model.state_dict())

    def collect(self, step: int):
        self.sampled[step] = _mark(self.copy)
        self.threads.add(threading.current_thread().name)
        return sample_trees(self.copy, step)


def reward(task, rollouts):
    """Something in which any two rollouts differ."""
    return [Reward(sum(rollout.token_ids) / 100) for rollout in rollouts]


def _mark(model) -> float:
    """A number that tells weights apart."""
    return sum(float(parameter.detach().double().abs().sum()) for parameter in model.parameters())


def learn(
    folder: Path, watched: Watched, *, steps: int = STEPS, stop: int | None = None, overlap: bool = True
):
    learner = Learner(watched.model, LearnerConfig(learning_rate=3e-3))
    ahead = Ahead(watched.collect, watched.freeze) if overlap else None
    weights = {0: _mark(watched.model)}

    def progress(step, total, metrics):
        weights[step] = _mark(watched.model)
        if step == stop:
            raise KeyboardInterrupt

    def collect(step: int):
        watched.freeze()
        return watched.collect(step)

    train_policy(
        learner,
        collect,
        reward,
        build_advantage(GRPOConfig()),
        run=RunFolder(folder),
        steps=steps,
        seed=3,
        checkpoint_every=2,
        progress=progress,
        ahead=ahead,
    )
    return weights


def metrics(folder: Path):
    timed = ("seconds", "per_second")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if not any(part in k for part in timed)} for row in rows]


def test_every_step_but_the_first_is_sampled_from_weights_that_are_one_update_old(tmp_path):
    watched = Watched()
    weights = learn(tmp_path, watched)
    assert len(set(weights.values())) == STEPS + 1
    assert watched.sampled == {1: weights[0]} | {step: weights[step - 2] for step in range(2, STEPS + 1)}
    assert any(name.startswith("rollouts") for name in watched.threads)
    rows = metrics(tmp_path)
    assert rows[0]["stale_kl"] == pytest.approx(0, abs=1e-6)
    assert rows[0]["effective_share"] == pytest.approx(1, abs=1e-6)
    assert all(abs(row["stale_kl"]) > 1e-4 for row in rows[2:])


def test_without_it_there_is_no_correction(tmp_path):
    watched = Watched()
    weights = learn(tmp_path, watched, overlap=False)
    assert watched.sampled == {step: weights[step - 1] for step in range(1, STEPS + 1)}
    assert "stale_kl" not in metrics(tmp_path)[-1]


@pytest.mark.parametrize("stop", [2, 3])
def test_stop_and_resume_equals_the_straight_run(tmp_path, stop):
    straight, stopped = Watched(), Watched()
    learn(tmp_path / "straight", straight)
    with pytest.raises(Interrupted):
        learn(tmp_path / "stopped", stopped, stop=stop)
    resumed = Watched()
    learn(tmp_path / "stopped", resumed)
    for one, other in zip(straight.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert metrics(tmp_path / "straight") == metrics(tmp_path / "stopped")
    # The step after the checkpoint was collected before it, and is not collected again.
    assert stop + 1 not in resumed.sampled


def test_weights_are_truncated_ratios_and_multiply_the_advantages():
    rng = np.random.default_rng(0)
    made = random_tree(rng, turns=6)
    tree = TokenTree.reinforced(made, random_advantages(rng, made))
    present = tree.old_logprobs + rng.normal(0, 1.0, len(tree))
    (found,), diagnostics = corrected([tree], [present], cap=1.5)
    ratio = np.exp(present - tree.old_logprobs)[tree.pair_token]
    assert np.allclose(found.pair_advantage, tree.pair_advantage * np.minimum(ratio, 1.5))
    assert np.array_equal(found.old_logprobs, present)
    trained = np.unique(tree.pair_token)
    each = np.exp(present - tree.old_logprobs)[trained]
    kept = np.minimum(each, 1.5)
    assert diagnostics == pytest.approx(
        {
            "stale_kl": float(-np.log(each).mean()),
            "importance_mean": float(each.mean()),
            "importance_max": float(each.max()),
            "importance_cut_share": float((each > 1.5).mean()),
            "effective_share": float(kept.sum() ** 2 / (len(kept) * (kept**2).sum())),
        }
    )


def test_rollouts_that_fail_ahead_fail_the_step_that_needs_them(tmp_path):
    watched = Watched()
    plain = watched.collect

    def collect(step: int):
        if step == 3:
            raise RuntimeError("no more rollouts")
        return plain(step)

    watched.collect = collect
    with pytest.raises(RuntimeError, match="no more rollouts"):
        learn(tmp_path, watched)
    assert len(metrics(tmp_path)) == 2


def test_a_recipe_asks_for_it():
    assert load_recipe("grpo").training.overlap is None
    recipe = load_recipe("grpo", values={"training.overlap": {}})
    assert recipe.training.overlap == Overlap(importance_cap=2.0)
