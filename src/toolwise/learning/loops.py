"""The two training loops. Both depend on the step number alone: stopped and resumed equals straight."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from toolwise.advantages import ActorCriticEstimator, AdvantageEstimator
from toolwise.core import RewardFunction, RolloutTree, ToolwiseError, seed_for
from toolwise.learning.ahead import Ahead, corrected
from toolwise.learning.critic import Critic, explained_variance
from toolwise.learning.experience import (
    Experience,
    experience_metrics,
    reward_penalties,
    rollout_records,
    score,
)
from toolwise.learning.learner import Learner
from toolwise.learning.losses import DPOLossConfig, KLInRewardConfig, PolicyLossConfig, PPOLossConfig
from toolwise.learning.objectives import SupervisedLossConfig
from toolwise.learning.run_folder import RunFolder
from toolwise.learning.run_steps import Progress, run_steps
from toolwise.learning.token_tree import TokenTree

SUMMED = ("trained_tokens", "unique_tokens", "tokens", "oversized_rollouts")
"""Metrics that add up over the updates of one step; the others are averaged."""


def train_supervised(
    learner: Learner,
    trees: Sequence[TokenTree],
    *,
    run: RunFolder,
    batch_size: int,
    seed: int,
    steps: int | None = None,
    epochs: float | None = None,
    loss: SupervisedLossConfig | DPOLossConfig | None = None,
    validation: Sequence[TokenTree] = (),
    checkpoint_every: int = 100,
    tokenizer: Any = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Learn from given trees: imitate demonstrations, or prefer one answer to another.

    Goes on from the newest checkpoint of `run` where there is one.

    Args:
        learner: Model and optimizer.
        trees: The demonstrations, or for DPO pairs of answers with ``ref_logprobs``; shuffled anew each
            epoch.
        run: Where metrics and checkpoints go.
        batch_size: Trees of one optimizer step; an epoch's last step takes what is left.
        seed: Decides the order and the dropout.
        steps: Length of the run in steps; either this or `epochs`.
        epochs: Length in passes over `trees`, rounded up to whole steps.
        loss: Default: the mean over tokens.
        validation: Their loss is measured with each checkpoint, as ``validation_loss``.
        checkpoint_every: Steps from one checkpoint to the next; the last step always writes one.
        tokenizer: Saved with each checkpoint.
        progress: Hears of each step.

    Returns:
        Metrics of the last step; empty if nothing was left to do.

    Raises:
        Interrupted: Ctrl-C; the finished steps are in a checkpoint.
        ToolwiseError: No data, no length, or what `Learner.step` and `RunFolder.save` raise.
    """
    if not trees:
        raise ToolwiseError("there is nothing to train on", where="train_supervised")
    objective = SupervisedLossConfig() if loss is None else loss
    per_epoch = math.ceil(len(trees) / batch_size)
    total = _length(steps, None if epochs is None else math.ceil(epochs * per_epoch))
    order: dict[int, np.ndarray[Any, np.dtype[np.int64]]] = {}

    def prepare(step: int) -> list[TokenTree]:
        epoch, place = divmod(step - 1, per_epoch)
        if epoch not in order:
            order.clear()
            order[epoch] = np.random.default_rng(seed_for(seed, "order", epoch)).permutation(len(trees))
        return [trees[index] for index in order[epoch][place * batch_size : (place + 1) * batch_size]]

    def update(step: int, batch: list[TokenTree]) -> dict[str, float]:
        begun = time.perf_counter()
        metrics = learner.step(batch, objective)
        metrics["seconds_learn"] = time.perf_counter() - begun
        metrics["learned_tokens_per_second"] = metrics["unique_tokens"] / metrics["seconds_learn"]
        if validation and (step % checkpoint_every == 0 or step == total):
            metrics["validation_loss"] = learner.evaluate(validation, objective)["loss"]
        return metrics

    return run_steps(
        learner, run, total, prepare, update, seed, checkpoint_every, tokenizer=tokenizer, progress=progress
    )


def train_policy(
    learner: Learner,
    collect: Callable[[int], list[RolloutTree]],
    reward: RewardFunction,
    advantage: AdvantageEstimator,
    *,
    run: RunFolder,
    steps: int,
    seed: int,
    loss: PolicyLossConfig | None = None,
    temperature: float = 1.0,
    reference: nn.Module | None = None,
    kl_in_reward: KLInRewardConfig | None = None,
    critic: Critic | None = None,
    epochs: int = 1,
    mini_batches: int = 1,
    checkpoint_every: int = 25,
    written_trees: int = 2,
    tokenizer: Any = None,
    validate: Callable[[int], Mapping[str, float]] | None = None,
    validate_every: int = 25,
    progress: Progress | None = None,
    ahead: Ahead | None = None,
    importance_cap: float = 2.0,
) -> dict[str, float]:
    """Learn from rewarded rollouts; goes on from the newest checkpoint of `run` where there is one.

    Args:
        learner: Model and optimizer; the model is the policy that `collect` samples from.
        collect: The rollouts of a step (from 1), from the present weights and the step number alone.
        reward: Scores groups; ``begin_step`` is called first where it has one, its state is checkpointed.
        advantage: From rewards to token advantages.
        run: Where metrics, rollouts and checkpoints go.
        steps: Length of the run.
        seed: Decides mini-batches and dropout.
        loss: Default: PPO's clipped surrogate.
        temperature: The one that `collect` samples with.
        reference: A frozen policy, or the learner's own model where it has an adapter (which is then switched
            off); the KL penalties and the metric ``kl`` need it.
        kl_in_reward: A KL penalty that is taken from the rewards before advantages are estimated.
        critic: For an estimator that needs one (`ActorCriticEstimator`); trained on the same mini-batches.
        epochs: Passes over the rollouts of a step.
        mini_batches: Optimizer steps of one pass; trees are spread over them.
        checkpoint_every: Steps from one checkpoint to the next; the last step always writes one.
        written_trees: Trees of each step that are written to ``rollouts/``.
        tokenizer: Saved with each checkpoint; gives the written tokens their text.
        validate: Metrics of the present policy by the number of finished steps; written with the step that
            follows.
        validate_every: Steps from one validation to the next.
        progress: Hears of each step.
        ahead: Collects the next step while this one is learnt from, instead of `collect`.
        importance_cap: With `ahead`: largest importance weight, see `corrected`.

    Returns:
        Metrics of the last step (`experience_metrics`, `Learner.step`, with a critic `explained_variance` and
        `Critic.step`, ``seconds_collect``, ``seconds_reward``, ``seconds_learn``,
        ``sampled_tokens_per_second``); empty if nothing was left.

    Raises:
        Interrupted: Ctrl-C; the finished steps are in a checkpoint.
        ToolwiseError: The estimator needs a critic and there is none, or the other way round; what `collect`,
            `score`, `Learner.step`, `Critic.step` and `RunFolder.save` raise.
    """
    check_critic(advantage, critic is not None)
    objective = PPOLossConfig() if loss is None else loss
    decode = None if tokenizer is None else lambda token: str(tokenizer.decode([token]))

    def prepare(step: int) -> tuple[list[RolloutTree], dict[str, float]]:
        waited = time.perf_counter()
        trees = [] if ahead is None else ahead.take(step)
        waited = time.perf_counter() - waited
        found = dict(validate(step - 1)) if validate and (step - 1) % validate_every == 0 else {}
        begun = time.perf_counter() - waited
        if ahead is None:
            trees = collect(step)
        elif step < steps:
            ahead.start(step + 1)
        if not trees:
            raise ToolwiseError(
                "no rollouts were collected", where=f"step {step}", mend="check the task file"
            )
        return trees, found | {"seconds_collect": time.perf_counter() - begun}

    def update(step: int, material: tuple[list[RolloutTree], dict[str, float]]) -> dict[str, float]:
        trees, metrics = material
        begun = time.perf_counter()
        if hasattr(reward, "begin_step"):
            reward.begin_step(step)
        flat = [TokenTree.reinforced(tree) for tree in trees]
        if reference is not None:
            flat = learner.annotate_reference(flat, reference, temperature=temperature)
        if critic is not None:
            flat = critic.annotate_values(flat)
        penalties = reward_penalties(flat, kl_in_reward) if kl_in_reward and kl_in_reward.coefficient else ()
        scoring = time.perf_counter()
        # Every rank has all rollouts and scores them alike, so that groups, batches and states are whole.
        experience = learner.world.agreed(
            lambda: score(trees, reward, advantage, flat=flat, penalties=penalties)
        )
        _check_same(learner, experience)
        seconds_reward = time.perf_counter() - scoring
        batch = experience.token_trees()
        if ahead is not None:
            present = learner.present_logprobs(batch, temperature=temperature)
            batch, stale = corrected(batch, present, importance_cap)
            metrics |= stale
        learned, valued = [], []
        for epoch in range(epochs):
            order = np.random.default_rng(seed_for(seed, "mini-batches", step, epoch)).permutation(len(batch))
            for part in np.array_split(order, min(mini_batches, len(batch))):
                chosen = [batch[index] for index in sorted(part.tolist())]
                if critic is not None:
                    valued.append(critic.step(chosen))
                if critic is None or step > critic.warmup_steps:
                    learned.append(learner.step(chosen, objective, temperature=temperature))
        metrics |= experience_metrics(experience) | _merged(learned)
        if critic is not None:
            metrics |= explained_variance(batch) | _merged(valued)
        metrics["seconds_reward"] = seconds_reward
        metrics["seconds_learn"] = time.perf_counter() - begun - seconds_reward
        metrics["sampled_tokens_per_second"] = metrics["sampled_tokens"] / max(
            1e-9, metrics["seconds_collect"]
        )
        run.write_rollouts(step, rollout_records(step, experience, trees=written_trees, decode=decode))
        return metrics

    return run_steps(
        learner,
        run,
        steps,
        prepare,
        update,
        seed,
        checkpoint_every,
        tokenizer=tokenizer,
        reward=reward,
        critic=critic,
        progress=progress,
        ahead=ahead,
    )


def check_critic(advantage: AdvantageEstimator, there: bool) -> None:
    """Refuse an estimator that needs a critic where there is none, and a critic that nothing uses.

    Raises:
        ToolwiseError: They do not fit.
    """
    needed = isinstance(advantage, ActorCriticEstimator)
    if needed and not there:
        raise ToolwiseError("the advantage needs a critic", where="critic", mend="add one: --set critic={}")
    if there and not needed:
        raise ToolwiseError(
            "the advantage has no use for a critic",
            where="critic",
            mend="leave it out (--set critic=null), or take advantage.type gae",
        )


def _check_same(learner: Learner, experience: Experience) -> None:
    """Ranks that see different rewards would learn different things."""
    values = [float(array.sum()) for tree in experience.advantages for array in tree]
    learner.world.same(values, "advantages", "rewards and advantages must depend on the rollouts alone")


def _length(steps: int | None, from_epochs: int | None) -> int:
    if (steps is None) == (from_epochs is None):
        raise ToolwiseError("the length of the run is not clear", mend="give either 'steps' or 'epochs'")
    return int(steps if steps is not None else from_epochs or 0)


def _merged(learned: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for metrics in learned for name in metrics)
    merged = {}
    for name in names:
        values = [metrics[name] for metrics in learned if name in metrics]
        merged[name] = sum(values) if name in SUMMED else sum(values) / len(values)
    return merged
