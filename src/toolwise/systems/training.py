"""The two training commands: everything of a recipe wired together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from toolwise.advantages import build_advantage
from toolwise.core import RolloutTree, Task, ToolwiseError, scorable, seed_for
from toolwise.learning import (
    Ahead,
    Critic,
    Learner,
    RunFolder,
    TokenTree,
    World,
    check_critic,
    joined_world,
    open_sink,
    train_policy,
    train_supervised,
    value_model,
)
from toolwise.learning.run_steps import Progress
from toolwise.rewards import build_reward
from toolwise.sampling.config import VLLMConfig
from toolwise.systems.continuing import begun_length, changeable, check_length
from toolwise.systems.distributing import SharedPolicy
from toolwise.systems.engines import Engine, open_engine
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
    DataFile,
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
    with joined_world(recipe.distributed) as world:
        data = _Examples(
            "demonstrations",
            recipe.demonstrations,
            split_demonstrations,
            demonstration_texts,
            demonstration_material,
        )
        return _train_examples(recipe, out, world, data, progress, say)


def train_dpo(
    recipe: DPORecipe, out: Path, *, progress: Progress | None = None, say: Say = print
) -> dict[str, float]:
    """Learn from pairs of answers; the same call goes on where the run in `out` stopped.

    The reference policy is the model that the recipe names, before any step; its log-probabilities are
    computed once. Args, returned metrics and errors are those of `train_sft`.
    """
    with joined_world(recipe.distributed) as world:
        data = _Examples(
            "pairs", recipe.preferences, split_preferences, preference_texts, preference_material
        )
        return _train_examples(recipe, out, world, data, progress, say)


@dataclass(frozen=True)
class _Examples:
    """What is trained on without sampling: how it is read, shown to a tokenizer, and made into trees."""

    what: str
    file: DataFile
    split: Callable[..., tuple[list[Any], list[Any]]]
    texts: Callable[..., Iterable[str]]
    material: Callable[..., list[RolloutTree]]


def _train_examples(
    recipe: SFTRecipe | DPORecipe,
    out: Path,
    world: World,
    data: _Examples,
    progress: Progress | None,
    say: Say,
) -> dict[str, float]:
    settings = recipe.training

    def prepare() -> tuple[Policy, list[RolloutTree], list[RolloutTree], int]:
        training, held_out = data.split(data.file, recipe.validation)
        policy = load_policy(recipe, lambda: data.texts(training), out / "base", adapt=True)
        trees = fitting_trees(policy, data.material(policy, training), data.file, say)
        validation = fitting_trees(policy, data.material(policy, held_out), data.file, say)
        steps = _sft_steps(settings, len(trees))
        before = begun_length(out, settings, lambda training: _sft_steps(training, len(trees)))
        check_length(out, recipe.learner, before, steps)
        return policy, trees, validation, steps

    policy, trees, validation, steps = world.agreed(prepare)
    # Described before it may be sharded.
    opening = _opening(policy, f"{len(trees)} {data.what}, {_tokens(trees):,} tokens, {steps} steps", world)
    shared = SharedPolicy.of(policy, world, recipe.distributed, samples=False)
    learner = Learner(policy.model, recipe.learner.settled(steps), shared.spread)
    run = _open(recipe, out, policy, world)
    say(opening)
    _say_oversized(trees, learner, say)

    def flat(some: Sequence[RolloutTree]) -> list[TokenTree]:
        found = [TokenTree.supervised(tree) for tree in some]
        if not isinstance(recipe, DPORecipe):
            return found
        if recipe.model.lora is not None:
            return learner.annotate_reference(found, policy.model)
        # The weights are still those of the start: a checkpoint is taken up only by the loop below.
        present = learner.present_logprobs(found)
        return [replace(tree, ref_logprobs=logprobs) for tree, logprobs in zip(found, present, strict=True)]

    try:
        return train_supervised(
            learner,
            flat(trees),
            run=run,
            batch_size=settings.batch_size,
            seed=settings.seed,
            steps=steps,
            loss=recipe.loss,
            validation=flat(validation),
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
    with joined_world(recipe.distributed) as world:
        if recipe.training.overlap is not None and world.size > 1:
            raise ToolwiseError(
                "several processes cannot sample and learn at the same time",
                where="training.overlap",
                mend="set it to null, or start one process",
            )
        return _train_rl(recipe, out, world, progress, say)


def _train_rl(
    recipe: RLRecipe, out: Path, world: World, progress: Progress | None, say: Say
) -> dict[str, float]:
    settings = recipe.training
    # Made before the run folder is, so that nothing is left behind where one cannot be made.
    reward, advantage = world.agreed(lambda: (build_reward(recipe.reward), build_advantage(recipe.advantage)))
    alone = 0 if recipe.critic is None else recipe.critic.warmup_steps
    updates = _rl_updates(settings, alone)

    def prepare() -> tuple[Policy, list[Task], list[Task], nn.Module | None]:
        training, held_out = split_tasks(recipe.tasks, recipe.validation)
        check_critic(advantage, recipe.critic is not None)
        refuse_tasks(recipe.tasks, [*training, *held_out], scorable(reward))
        policy = load_policy(recipe, lambda: task_texts(training), out / "base", adapt=True)
        room = recipe.rollout.limits.max_turn_tokens
        tasks = fitting_tasks(policy, training, recipe.tasks, room, say)
        validation = fitting_tasks(policy, held_out, recipe.tasks, room, say)
        before = begun_length(out, settings, partial(_rl_updates, alone=alone))
        check_length(out, recipe.learner, before, updates)
        # Before the policy may be sharded.
        return policy, tasks, validation, _values(recipe.critic, policy, out, settings)

    policy, tasks, validation, values = world.agreed(prepare)
    reference = None
    if recipe.loss.kl.coefficient > 0 or recipe.kl_in_reward.coefficient > 0:
        # Without its adapter the policy is the reference, and no second copy is needed.
        adapted = recipe.model.lora is not None
        reference = policy.model if adapted else copy.deepcopy(policy.model).requires_grad_(False)
    groups = f"{recipe.rollout.tasks_per_step} x {recipe.rollout.group_size} rollouts a step"
    opening = _opening(policy, f"{len(tasks)} tasks, {groups}, {settings.steps} steps", world)
    overlap, served = settings.overlap, isinstance(recipe.sampler, VLLMConfig)
    apart = overlap is not None and not served
    shared = SharedPolicy.of(policy, world, recipe.distributed, samples=True, apart=apart)
    learner = Learner(policy.model, recipe.learner.settled(updates), shared.spread)
    critic = None
    if recipe.critic is not None and values is not None:
        critic = Critic(values, recipe.critic.settled(_rl_updates(settings)), shared.spread)
    run = _open(recipe, out, policy, world)
    say(opening)
    engine = world.agreed(
        lambda: _engine(recipe, shared.sampled, out, run, say) if world.first or not served else None
    )
    collector = shared.collector(recipe.rollout, settings.seed, None if engine is None else engine.sampler)

    def take_weights() -> None:
        shared.take_weights()
        world.agreed(lambda: engine.take_weights(learner.steps) if engine is not None else None)

    def play(step: int) -> list[RolloutTree]:
        return collector.collect(collector.batch(tasks, step), run=("train", step))

    def collect(step: int) -> list[RolloutTree]:
        take_weights()
        trees = play(step)
        if engine is not None:
            engine.rest()
        return trees

    def validate(finished: int) -> Mapping[str, float]:
        take_weights()
        found = greedy_metrics(collector, validation, recipe.reward)
        return {f"validation_{name}": value for name, value in found.items()}

    ahead = None if overlap is None else Ahead(play, take_weights)
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
            ahead=ahead,
            importance_cap=2.0 if overlap is None else overlap.importance_cap,
        )
    finally:
        if ahead is not None:
            ahead.close()
        if engine is not None:
            engine.close()
        policy.toolbox.close()
        run.close()


def _engine(recipe: RLRecipe, policy: Policy, out: Path, run: RunFolder, say: Say) -> Engine:
    try:
        return open_engine(recipe, policy, out / "sampler", say)
    except BaseException:
        policy.toolbox.close()
        run.close()
        raise


def _sft_steps(training: SFTTraining, demonstrations: int) -> int:
    if training.steps is not None:
        return training.steps
    epochs = EPOCHS if training.epochs is None else training.epochs
    return math.ceil(epochs * math.ceil(demonstrations / training.batch_size))


def _rl_updates(training: RLTraining, alone: int = 0) -> int:
    """Optimizer steps of the policy, which waits for `alone` steps while the critic learns."""
    return (training.steps - alone) * training.epochs * training.mini_batches


def _values(
    settings: CriticSettings | None, policy: Policy, out: Path, training: RLTraining
) -> nn.Module | None:
    if settings is None:
        return None
    updates = _rl_updates(training)
    check_length(out, settings.learner, begun_length(out, training, _rl_updates), updates, "critic.learner")
    model: nn.Module = value_model(policy.model, seed_for(training.seed, "critic"), settings.head)
    return model


def _open(recipe: Recipe, out: Path, policy: Policy, world: World) -> RunFolder:
    def make() -> RunFolder:
        try:
            sinks = [open_sink(name, out) for name in recipe.sinks] if world.first else []
            return RunFolder(out, sinks=sinks, world=world)
        except OSError as error:
            raise ToolwiseError(
                f"the run folder cannot be made: {error.strerror}",
                where=str(out),
                mend="choose another with --out",
            ) from error

    run = world.agreed(make)
    run.write_config(recipe.model_dump(mode="json"), changeable(recipe))
    if recipe.model.init is not None:
        # Only now that the folder is this recipe's: a refused run must not leave a model to the next one.
        world.by_first(lambda: keep_base(policy, out / "base"))
    return run


def _opening(policy: Policy, material: str, world: World) -> str:
    parameters = list(policy.model.parameters())
    size = sum(parameter.numel() for parameter in parameters)
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    kind = type(policy.model).__name__
    shown = f"{size / 1e6:.1f} M parameters"
    if trained < size:
        shown += f" ({trained / 1e6:.2f} M trained)"
    place = f"{policy.model.device}" if world.size == 1 else f"{world.size} ranks"
    return f"{kind}, {shown}, context {policy.context}, on {place}; {material}"


def _say_oversized(trees: Sequence[RolloutTree], learner: Learner, say: Say) -> None:
    budget = learner.config.token_budget
    longest = max((sum(len(turn.token_ids) for turn in tree.turns) for tree in trees), default=0)
    count = sum(sum(len(turn.token_ids) for turn in tree.turns) > budget for tree in trees)
    if count:
        say(
            f"{count} of {len(trees)} demonstrations are longer than learner.token_budget = {budget} (the "
            f"longest: {longest}): each is computed alone and takes more memory"
        )


def _tokens(trees: Sequence[RolloutTree]) -> int:
    return sum(len(turn.token_ids) for tree in trees for turn in tree.turns)
