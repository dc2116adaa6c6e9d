"""Trying a model, and showing what would be trained on: nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from toolwise.advantages import build_advantage
from toolwise.core import Reward, RolloutTree, ToolwiseError, rewards_of, scorable, seed_for
from toolwise.learning import Critic, TokenTree, score, value_model
from toolwise.rewards import build_reward
from toolwise.sampling import SamplingParams
from toolwise.systems.material import (
    demonstration_material,
    demonstration_texts,
    refuse_tasks,
    split_demonstrations,
    split_tasks,
    task_texts,
)
from toolwise.systems.playing import prepare
from toolwise.systems.policy import Policy, Say, fitting_tasks, fitting_trees, load_policy
from toolwise.systems.recipe import HeldOut, RLRecipe, SFTRecipe


@dataclass(frozen=True, slots=True)
class Mask:
    """One rollout or demonstration as the learner gets it.

    Attributes:
        name: Which one.
        tokens: The text of each token, L of them.
        weights: Weight of each token in the loss before aggregation, ≥ 0; 0 is not trained on.
        advantages: Pull on each token; 0 where it is not trained on.
    """

    name: str
    tokens: tuple[str, ...]
    weights: tuple[float, ...]
    advantages: tuple[float, ...]


def try_model(
    recipe: RLRecipe, *, samples: int, greedy: bool, say: Say = print
) -> Iterator[tuple[RolloutTree, list[Reward] | None]]:
    """Roll out the tasks of a recipe, one after the other, and score them where they can be scored.

    Args:
        recipe: Model, tasks, dialect, tools, reward and limits.
        samples: Rollouts of each task.
        greedy: Take the likeliest token each time.
        say: Hears what the user should know.

    Raises:
        ToolwiseError: The model or the tasks cannot be used.
    """
    tasks, _ = split_tasks(recipe.tasks, HeldOut())
    prepared = prepare(recipe, tasks, say)
    reward = build_reward(recipe.reward)
    params = SamplingParams(temperature=0.0) if greedy else None
    with closing(prepared):
        for task in prepared.tasks:
            (tree,) = prepared.player.collect([task], run=("try",), samples=samples, params=params)
            try:
                scorable(reward)(task)
            except ToolwiseError as error:
                # Nobody needs answers to look at turns.
                say(f"no reward: {error.where}: {error.problem}")
                yield tree, None
            else:
                yield tree, rewards_of(reward, task, tree.rollouts())
    if prepared.spent():
        say(prepared.spent())


def masks_of_demonstrations(recipe: SFTRecipe, say: Say = print) -> Iterator[Mask]:
    """The demonstrations of a recipe as supervised training gets them.

    Raises:
        ToolwiseError: The model or the demonstrations cannot be used.
    """
    demonstrations, _ = split_demonstrations(recipe.demonstrations, HeldOut())
    policy = load_policy(recipe, lambda: demonstration_texts(demonstrations))
    trees = demonstration_material(policy, demonstrations)
    for tree in fitting_trees(policy, trees, recipe.demonstrations, say):
        yield from _masks(policy, TokenTree.supervised(tree))


def masks_of_rollouts(recipe: RLRecipe, *, samples: int, say: Say = print) -> Iterator[Mask]:
    """Fresh rollouts of a recipe's tasks as reinforcement learning gets them in its first step.

    A critic's values are those of its random head.

    Raises:
        ToolwiseError: The model or the tasks cannot be used.
    """
    tasks, _ = split_tasks(recipe.tasks, HeldOut())
    refuse_tasks(recipe.tasks, tasks, scorable(build_reward(recipe.reward)))
    policy = load_policy(recipe, lambda: task_texts(tasks))
    tasks = fitting_tasks(policy, tasks, recipe.tasks, recipe.rollout.limits.max_turn_tokens, say)
    collector = policy.collector(recipe.rollout, recipe.training.seed)
    with closing(policy.toolbox):
        trees = collector.collect(tasks, run=("train", 1), samples=samples)
    flat = [TokenTree.reinforced(tree) for tree in trees]
    if recipe.critic is not None:
        model = value_model(policy.model, seed_for(recipe.training.seed, "critic"), recipe.critic.head)
        flat = Critic(model, recipe.critic).annotate_values(flat)
    reward, advantage = build_reward(recipe.reward), build_advantage(recipe.advantage)
    experience = score(trees, reward, advantage, flat=flat)
    for tree in experience.token_trees():
        yield from _masks(policy, tree)


def _masks(policy: Policy, tree: TokenTree) -> Iterator[Mask]:
    for rollout in range(len(tree.paths)):
        mine = tree.pair_rollout == rollout
        weights, advantages = np.zeros(len(tree)), np.zeros(len(tree))
        weights[tree.pair_token[mine]] = tree.pair_weight[mine]
        advantages[tree.pair_token[mine]] = tree.pair_advantage[mine]
        along = tree.path_tokens(rollout)
        name = tree.name if len(tree.paths) == 1 else f"{tree.name}, sample {rollout}"
        texts = tuple(str(policy.tokenizer.decode([token])) for token in tree.input_ids[along].tolist())
        yield Mask(name, texts, tuple(weights[along].tolist()), tuple(advantages[along].tolist()))
