"""A tiny policy trained on a toy task; also a script, to be killed: ``loop_helpers.py FOLDER STEP``.

With a third word ``critic`` it is the run with a critic.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from learning_helpers import VOCABULARY, tiny_model

from toolwise.advantages import GAEConfig, GRPOConfig, build_advantage
from toolwise.core import Reward, RolloutEnd, RolloutTree, StopReason, Task, Turn, seed_for
from toolwise.learning import (
    Critic,
    CriticConfig,
    Learner,
    LearnerConfig,
    RunFolder,
    TokenTree,
    train_policy,
    train_supervised,
    value_model,
)
from toolwise.learning.losses import KLConfig, KLInRewardConfig, PPOLossConfig

STEPS = 7


class CountingReward:
    """Rewards the token 7, and keeps state that changes what it gives: the best seen so far."""

    def __init__(self, hang: int | None = None) -> None:
        self.best, self.step, self.hang = 0.0, 0, hang

    def begin_step(self, step: int) -> None:
        self.step = step

    def __call__(self, task, rollouts):
        if self.step == self.hang:
            hang()
        counts = [float(rollout.token_ids.count(7)) for rollout in rollouts]
        self.best = max(self.best, *counts)
        return [Reward(count - 0.1 * self.best, {"correct": float(count > 0)}) for count in counts]

    def state_dict(self):
        return {"best": self.best}

    def load_state_dict(self, state):
        self.best = state["best"]


def hang() -> None:
    print("ready", flush=True)
    time.sleep(600)


def policy(seed: int = 0):
    # Dropout, so that the generator's state matters as well.
    return tiny_model(seed=seed, hidden_size=32, intermediate_size=64, attention_dropout=0.1)


@torch.no_grad()
def sample_trees(model, step: int) -> list[RolloutTree]:
    """Two groups of three rollouts of four tokens, sampled from the present weights."""
    model.eval()
    trees = []
    for number in range(2):
        prompt = (1, 2 + number)
        paths, ends = [], []
        for sample in range(3):
            rng = np.random.default_rng(seed_for("toy", step, number, sample))
            tokens, logprobs = [], []
            for _ in range(4):
                table = model(torch.tensor([[*prompt, *tokens]])).logits[0, -1].double().log_softmax(-1)
                weights = table.exp().numpy()
                token = int(rng.choice(VOCABULARY, p=weights / weights.sum()))
                tokens.append(token)
                logprobs.append(float(table[token]))
            paths.append(
                [Turn("assistant", tuple(tokens), sampled=True, logprobs=tuple(logprobs), answer="x")]
            )
            ends.append(RolloutEnd(0, sample, f"g{number}", StopReason.ANSWERED))
        task = Task(f"t{number}", ({"role": "user", "content": "?"},))
        trees.append(RolloutTree.from_paths(task, Turn("prompt", prompt), paths, ends))
    return trees


def learn(folder: Path, *, steps: int = STEPS, stop=None, reward: CountingReward | None = None):
    """Train to `steps`; `stop(step)` is called before the rollouts of each step."""
    model = policy()
    learner = Learner(
        model, LearnerConfig(learning_rate=3e-3, warmup_steps=6, schedule="linear", total_steps=4 * STEPS)
    )

    def collect(step: int) -> list[RolloutTree]:
        if stop is not None:
            stop(step)
        return sample_trees(model, step)

    train_policy(
        learner,
        collect,
        CountingReward() if reward is None else reward,
        build_advantage(GRPOConfig()),
        run=RunFolder(folder),
        steps=steps,
        seed=5,
        loss=PPOLossConfig(kl=KLConfig(coefficient=0.05), entropy_coefficient=0.01),
        reference=policy(),
        mini_batches=2,
        epochs=2,
        checkpoint_every=3,
    )
    return model


def learn_with_critic(folder: Path, *, steps: int = STEPS, stop=None, reward=None, warmup_steps: int = 1):
    """PPO with a critic and the KL penalty in the reward; the policy and the critic's model."""
    model = policy()
    learner = Learner(model, LearnerConfig(learning_rate=3e-3))
    settings = CriticConfig(learner=LearnerConfig(learning_rate=1e-2), clip=0.3, warmup_steps=warmup_steps)
    critic = Critic(value_model(model, seed=3), settings)

    def collect(step: int) -> list[RolloutTree]:
        if stop is not None:
            stop(step)
        return sample_trees(model, step)

    train_policy(
        learner,
        collect,
        CountingReward() if reward is None else reward,
        build_advantage(GAEConfig(decay=0.9)),
        run=RunFolder(folder),
        steps=steps,
        seed=5,
        reference=policy(),
        kl_in_reward=KLInRewardConfig(coefficient=0.05),
        critic=critic,
        mini_batches=2,
        epochs=2,
        checkpoint_every=3,
    )
    return model, critic.model


def demonstrations() -> list[TokenTree]:
    rng = np.random.default_rng(3)
    task = Task("d", ({"role": "user", "content": "?"},))
    rows = [tuple(int(token) for token in rng.integers(1, VOCABULARY, rng.integers(3, 9))) for _ in range(11)]
    return [TokenTree.supervised(RolloutTree.demonstration(task, [Turn("assistant", row)])) for row in rows]


def imitate(folder: Path, *, steps: int, progress=None):
    model = policy()
    learner = Learner(model, LearnerConfig(learning_rate=3e-3))
    train_supervised(
        learner,
        demonstrations(),
        run=RunFolder(folder),
        batch_size=4,
        seed=9,
        steps=steps,
        validation=demonstrations()[:3],
        checkpoint_every=2,
        progress=progress,
    )
    return model


if __name__ == "__main__":
    run = learn_with_critic if "critic" in sys.argv else learn
    run(Path(sys.argv[1]), reward=CountingReward(hang=int(sys.argv[2])))
