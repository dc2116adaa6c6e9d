"""The two training commands: everything of a recipe wired together."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from toolwise.advantages import build_advantage
from toolwise.core import RolloutTree, ToolwiseError, scorable, seed_for
from toolwise.learning import (
    Critic,
    Learner,
    RunFolder,
    TokenTree,
    check_critic,
    open_sink,
    train_policy,
    train_supervised,
    value_model,
)
from toolwise.learning.loops import Progress
from toolwise.rewards import build_reward
from toolwise.systems.continuing import begun_length, changeable, check_length
from toolwise.systems.evaluating import greedy_metrics
from toolwise.systems.material import (
    demonstration_material,
    demonstration_texts,
    preference_material,
    preference_texts,
    refuse_tasks,
    split_demonstrations,
    split_preferences,
    split_tasks,
    task_texts,
)
from toolwise.systems.policy import Policy, Say, fitting_tasks, fitting_trees, keep_base, load_policy
from toolwise.systems.recipe import (
    CriticSettings,
    DPORecipe,
    Recipe,
    RLRecipe,
    RLTraining,
    SFTRecipe,
    SFTTraining,
)

EPOCHS = 3
"""Length of supervised training where a recipe states none."""


def train_sft(
    recipe: SFTRecipe, out: Path, *, progress: Progress | None = None, say: Say = print
) -> dict[str, float]:
    """Imitate demonstrations; the same call, or one for a longer run, goes on where the run in `out` stopped.

    Args:
        recipe: What to do.
        out: The run folder.
        progress: Hears of each step.
        say: Hears what the user should know before it begins.

    Returns:
        Metrics of the last step; empty if nothing was left to do.

    Raises:
        Interrupted: Ctrl-C; the finished steps are in a checkpoint.
        ToolwiseError: The recipe, the model or the data cannot be used, or the disk is full.
    """
    training, held_out = split_demonstrations(recipe.demonstrations, recipe.validation)
    policy = load_policy(recipe, lambda: demonstration_texts(training), out / "base", adapt=True)
    data = recipe.demonstrations
    trees = fitting_trees(policy, demonstration_material(policy, training), data, say)
    validation = fitting_trees(policy, demonstration_material(policy, held_out), data, say)
    settings = recipe.training
    steps = _sft_steps(settings, len(trees))
    before = begun_length(out, settings, lambda training: _sft_steps(training, len(trees)))
    check_length(out, recipe.learner, before, steps)
    learner = Learner(policy.model, recipe.learner.settled(steps))
    run = _open(recipe, out, policy)
    say(_opening(policy, f"{len(trees)} demonstrations, {_tokens(trees):,} tokens, {steps} steps"))
    try:
        return train_supervised(
            learner,
            [TokenTree.supervised(tree) for tree in trees],
            run=run,
            batch_size=settings.batch_size,
            seed=settings.seed,
            steps=steps,
            loss=recipe.loss,
            validation=[TokenTree.supervised(tree) for tree in validation],
            checkpoint_every=settings.checkpoint_every,
            tokenizer=policy.tokenizer,
            progress=progress,
        )
    finally:
        run.close()


def train_dpo(
    recipe: DPORecipe, out: Path, *, progress: Progress | None = None, say: Say = print
) -> dict[str, float]:
    """Learn from pairs of answers; the same call goes on where the run in `out` stopped.

    The reference policy is the model that the recipe names, before any step; its log-probabilities are
    computed once. Args, returned metrics and errors are those of `train_sft`.
    """
    training, held_out = split_preferences(recipe.preferences, recipe.validation)
    policy = load_policy(recipe, lambda: preference_texts(training), out / "base", adapt=True)
    data = recipe.preferences
    trees = fitting_trees(policy, preference_material(policy, training), data, say)
    validation = fitting_trees(policy, preference_material(policy, held_out), data, say)
    settings = recipe.training
    steps = _sft_steps(settings, len(trees))
    before = begun_length(out, settings, lambda training: _sft_steps(training, len(trees)))
    check_length(out, recipe.learner, before, steps)
    learner = Learner(policy.model, recipe.learner.settled(steps))
    run = _open(recipe, out, policy)
    say(_opening(policy, f"{len(trees)} pairs, {_tokens(trees):,} tokens, {steps} steps"))

    def referred(some: Sequence[RolloutTree]) -> list[TokenTree]:
        # The weights are still those of the start: a checkpoint is taken up only by the loop below.
        return learner.annotate_reference([TokenTree.supervised(tree) for tree in some], policy.model)

    try:
        return train_supervised(
            learner,
            referred(trees),
            run=run,
            batch_size=settings.batch_size,
            seed=settings.seed,
            steps=steps,
            loss=recipe.loss,
            validation=referred(validation),
            checkpoint_every=settings.checkpoint_every,
            tokenizer=policy.tokenizer,
            progress=progress,
        )
    finally:
        run.close()


def train_rl(
    recipe: RLRecipe, out: Path, *, progress: Progress | None = None, say: Say = print
) -> dict[str, float]:
    """Learn from rewarded rollouts; the same call goes on where the run in `out` stopped.

    Args, returned metrics and errors are those of `train_sft`.
    """
    if recipe.rollout.temperature == 0:
        raise ToolwiseError(
            "all rollouts of a group would be equal, and nothing could be learned from them",
            where="rollout.temperature",
            mend="give one above 0, for instance 1",
        )
    training, held_out = split_tasks(recipe.tasks, recipe.validation)
    # Made before the run folder is, so that nothing is left behind where one cannot be made.
    reward, advantage = build_reward(recipe.reward), build_advantage(recipe.advantage)
    check_critic(advantage, recipe.critic is not None)
    refuse_tasks(recipe.tasks, [*training, *held_out], scorable(reward))
    policy = load_policy(recipe, lambda: task_texts(training), out / "base", adapt=True)
    room = recipe.rollout.limits.max_turn_tokens
    tasks = fitting_tasks(policy, training, recipe.tasks, room, say)
    validation = fitting_tasks(policy, held_out, recipe.tasks, room, say)
    settings = recipe.training
    alone = 0 if recipe.critic is None else recipe.critic.warmup_steps
    updates, before = (
        _rl_updates(settings, alone),
        begun_length(out, settings, partial(_rl_updates, alone=alone)),
    )
    check_length(out, recipe.learner, before, updates)
    learner = Learner(policy.model, recipe.learner.settled(updates))
    critic = None if recipe.critic is None else _critic(recipe.critic, policy, out, settings)
    reference = None
    if recipe.loss.kl.coefficient > 0 or recipe.kl_in_reward.coefficient > 0:
        # Without its adapter the policy is the reference, and no second copy is needed.
        adapted = recipe.model.lora is not None
        reference = policy.model if adapted else copy.deepcopy(policy.model).requires_grad_(False)
    run = _open(recipe, out, policy)
    groups = f"{recipe.rollout.tasks_per_step} x {recipe.rollout.group_size} rollouts a step"
    say(_opening(policy, f"{len(tasks)} tasks, {groups}, {settings.steps} steps"))
    collector = policy.collector(recipe.rollout, settings.seed)

    def take_weights() -> None:
        policy.model.eval()
        collector.sampler.update_weights()  # type: ignore[attr-defined]

    def collect(step: int) -> list[RolloutTree]:
        take_weights()
        return collector.collect(collector.batch(tasks, step), run=("train", step))

    def validate(finished: int) -> Mapping[str, float]:
        take_weights()
        found = greedy_metrics(collector, validation, recipe.reward)
        return {f"validation_{name}": value for name, value in found.items()}

    try:
        return train_policy(
            learner,
            collect,
            reward,
            advantage,
            run=run,
            steps=settings.steps,
            seed=settings.seed,
            loss=recipe.loss,
            temperature=recipe.rollout.temperature,
            reference=reference,
            kl_in_reward=recipe.kl_in_reward,
            critic=critic,
            epochs=settings.epochs,
            mini_batches=settings.mini_batches,
            checkpoint_every=settings.checkpoint_every,
            written_trees=settings.written_trees,
            tokenizer=policy.tokenizer,
            validate=validate if validation else None,
            validate_every=settings.validate_every,
            progress=progress,
        )
    finally:
        policy.toolbox.close()
        run.close()


def _sft_steps(training: SFTTraining, demonstrations: int) -> int:
    if training.steps is not None:
        return training.steps
    epochs = EPOCHS if training.epochs is None else training.epochs
    return math.ceil(epochs * math.ceil(demonstrations / training.batch_size))


def _rl_updates(training: RLTraining, alone: int = 0) -> int:
    """Optimizer steps of the policy, which waits for `alone` steps while the critic learns."""
    return (training.steps - alone) * training.epochs * training.mini_batches


def _critic(settings: CriticSettings, policy: Policy, out: Path, training: RLTraining) -> Critic:
    updates = _rl_updates(training)
    check_length(out, settings.learner, begun_length(out, training, _rl_updates), updates, "critic.learner")
    model = value_model(policy.model, seed_for(training.seed, "critic"), settings.head)
    return Critic(model, settings.settled(updates))


def _open(recipe: Recipe, out: Path, policy: Policy) -> RunFolder:
    try:
        run = RunFolder(out, sinks=[open_sink(name, out) for name in recipe.sinks])
    except OSError as error:
        raise ToolwiseError(
            f"the run folder cannot be made: {error.strerror}",
            where=str(out),
            mend="choose another with --out",
        ) from error
    run.write_config(recipe.model_dump(mode="json"), changeable(recipe))
    if recipe.model.init is not None:
        # Only now that the folder is this recipe's: a refused run must not leave a model to the next one.
        keep_base(policy, out / "base")
    return run


def _opening(policy: Policy, material: str) -> str:
    parameters = list(policy.model.parameters())
    size = sum(parameter.numel() for parameter in parameters)
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    kind = type(policy.model).__name__
    shown = f"{size / 1e6:.1f} M parameters"
    if trained < size:
        shown += f" ({trained / 1e6:.2f} M trained)"
    return f"{kind}, {shown}, context {policy.context}, on {policy.model.device}; {material}"


def _tokens(trees: Sequence[RolloutTree]) -> int:
    return sum(len(turn.token_ids) for tree in trees for turn in tree.turns)
