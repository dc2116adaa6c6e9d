"""One rank of several, or the only process: ``ranks.py FOLDER CASE …``, each case a run in FOLDER/CASE.

A case is ``KIND-STRATEGY-STEPS``, or to go on in a folder of another name ``KIND-STRATEGY-STEPS@FOLDER``.
The word ``hang=STEP`` lets the last rank wait for its death before the rollouts of a step.
"""

from __future__ import annotations

import copy
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from loop_helpers import CountingReward, demonstrations, policy, sample_trees

from toolwise.advantages import GAEConfig, LitePPOConfig, build_advantage
from toolwise.learning import (
    Critic,
    CriticConfig,
    DistributedConfig,
    Learner,
    LearnerConfig,
    LoraSettings,
    RunFolder,
    Spread,
    World,
    add_adapter,
    joined_world,
    refresh,
    train_policy,
    train_supervised,
    value_model,
)
from toolwise.learning.losses import KLConfig, KLInRewardConfig, PPOLossConfig

TIMEOUT = 300.0  # a machine under load starts one rank long after the other


def case(name: str, folder: Path, world: World, strategy: str, steps: int, hang: int | None = None) -> None:
    model = policy().requires_grad_(True)
    model.config.attention_dropout = 0.0
    for layer in model.get_decoder().layers:
        layer.self_attn.attention_dropout = 0.0
    if name == "lora":
        add_adapter(model, LoraSettings(rank=3), base="nowhere", seed=1)
    # Budgets so small that the ranks have different numbers of micro-batches.
    settings = LearnerConfig(
        learning_rate=3e-3, token_budget=20, weight_decay=0.01, gradient_checkpointing=name == "grpo"
    )
    spread = Spread(world, DistributedConfig(), strategy)
    values = value_model(model, seed=3) if name == "ppo" else None
    sampled = copy.deepcopy(model) if spread.sharded else model
    reference = model if name == "lora" else copy.deepcopy(model).requires_grad_(False)
    learner = Learner(model, settings, spread)
    run = RunFolder(folder, world=world)
    if name == "sft":
        train_supervised(
            learner,
            demonstrations(),
            run=run,
            batch_size=5,
            seed=9,
            steps=steps,
            validation=demonstrations()[:3],
            checkpoint_every=2,
        )
        return

    def collect(step: int):
        if hang == step and world.rank == world.size - 1:
            print(f"waiting {os.getpid()}", flush=True)
            time.sleep(600)
        if sampled is not model:
            refresh(sampled, model)
        # The same two groups twice: members of a group lie on different ranks.
        return sample_trees(sampled, step) + sample_trees(sampled, 100 + step)

    critic = None
    if values is not None:
        critic_settings = CriticConfig(learner=LearnerConfig(learning_rate=1e-2, token_budget=20), clip=0.3)
        critic = Critic(values, critic_settings, spread)
    train_policy(
        learner,
        collect,
        CountingReward(),
        build_advantage(GAEConfig(decay=0.9) if critic is not None else LitePPOConfig()),
        run=run,
        steps=steps,
        seed=5,
        loss=PPOLossConfig(
            kl=KLConfig(coefficient=0.0 if critic else 0.05),
            entropy_coefficient=0.01,
            aggregation="token-mean",
        ),
        reference=reference,
        kl_in_reward=KLInRewardConfig(coefficient=0.05) if critic is not None else None,
        critic=critic,
        mini_batches=2,
        checkpoint_every=2,
    )


def thread_names() -> list[str]:
    found = []
    for task in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):
            found.append(task.read_text().strip())
    return found


def main(folder: Path, words: list[str]) -> None:
    hang = next((int(word[len("hang=") :]) for word in words if word.startswith("hang=")), None)
    with joined_world(DistributedConfig(timeout=TIMEOUT)) as world:
        for word in words:
            if word.startswith("hang="):
                continue
            rest, _, place = word.partition("@")
            name, strategy, steps = rest.split("-")
            case(name, folder / (place or word), world, strategy, int(steps), hang)
    # Any that lived on might abort the process while the interpreter ends. The kernel forgets one a bit late.
    deadline = time.monotonic() + 10
    while names := [name for name in thread_names() if "gloo" in name]:
        assert time.monotonic() < deadline, names
        time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
