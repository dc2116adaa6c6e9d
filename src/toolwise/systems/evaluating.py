"""Evaluation of a model: greedy rollouts, judged, measured and written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolwise.core import Reward, RewardFunction, RolloutTree, Task, rewards_of, scorable
from toolwise.evaluation import Outcome, Summary, check_info, outcome_of, summarise
from toolwise.learning import Experience, rollout_records
from toolwise.rewards import RewardConfig, ToolRLReward, build_reward, toolrl_score
from toolwise.rollout import Player
from toolwise.sampling import SamplingParams
from toolwise.systems.material import refuse_tasks, split_tasks
from toolwise.systems.playing import prepare
from toolwise.systems.policy import Say
from toolwise.systems.recipe import HeldOut, RLRecipe
from toolwise.systems.result_file import file_stem, other_results, write_result, writing

Done = Callable[[int, int], None]
"""Called with the number of finished tasks and of all tasks."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        summary: The measures.
        outcomes: One for each task.
        rewards: Mean of the reward's total and of each of its parts.
        results: The file with the record.
        rollouts: The file with all rollouts.
    """

    summary: Summary
    outcomes: tuple[Outcome, ...]
    rewards: Mapping[str, float]
    results: Path
    rollouts: Path


def solved(task: Task, reward: Reward, function: RewardFunction) -> bool:
    """Whether a rollout is right: its part ``correct`` says so; else its total reaches 1.

    Under ToolRL's reward a turn is right if it scores as well as the reference turn itself does.
    """
    if "correct" in reward.parts:
        return reward.parts["correct"] >= 1.0
    if isinstance(function, ToolRLReward):
        perfect = toolrl_score(str(task.answer), str(task.answer), function.settings)
        return reward.parts["format"] > 0 and reward.parts["correctness"] >= perfect.correctness
    return reward.total >= 1.0


def greedy_metrics(collector: Player, tasks: Sequence[Task], reward: RewardConfig) -> dict[str, float]:
    """Validation of the present policy: one greedy rollout a task.

    Returns:
        ``reward``, ``accuracy`` and ``calls``, means over the tasks.
    """
    trees, rewards, function = _play(collector, tasks, reward, None)
    right = [solved(task, found, function) for task, found in zip(tasks, rewards, strict=True)]
    return {
        "reward": float(np.mean([found.total for found in rewards])),
        "accuracy": float(np.mean(right)),
        "calls": float(np.mean([tree.rollouts()[0].calls for tree in trees])),
    }


def evaluate_model(
    recipe: RLRecipe, out: Path, name: str, *, done: Done | None = None, say: Say = print
) -> Evaluation:
    """Measure a model on tasks; write ``results.json`` and ``rollouts/NAME.jsonl``.

    A record of the same policy and seed in ``results.json`` is replaced, others stay.

    Args:
        recipe: Model, tasks, dialect, tools, reward and limits; what concerns training is not looked at.
        out: The folder to write to.
        name: Name of the policy in the results.
        done: Hears of finished tasks.
        say: Hears what the user should know.

    Raises:
        ToolwiseError: The model or the tasks cannot be used, or the folder cannot be written.
    """
    tasks, _ = split_tasks(recipe.tasks, HeldOut())
    refuse_tasks(recipe.tasks, tasks, scorable(build_reward(recipe.reward)), check_info)
    prepared = prepare(recipe, tasks, say)
    tasks = prepared.tasks
    results, rollouts = out / "results.json", out / "rollouts" / f"{file_stem(name)}.jsonl"
    # Whatever cannot be written is found out before the tasks are played, not after.
    with writing(out):
        rollouts.parent.mkdir(parents=True, exist_ok=True)
        rollouts.open("a").close()
    other_results(results, {"policy": name, "seed": recipe.training.seed})
    with closing(prepared):
        trees, rewards, function = _play(prepared.player, tasks, recipe.reward, done)
    if prepared.spent():
        say(prepared.spent())
    outcomes = tuple(
        outcome_of(task, tree.rollouts()[0], solved(task, reward, function))
        for task, tree, reward in zip(tasks, trees, rewards, strict=True)
    )
    summary = summarise(outcomes)
    means = {"reward": float(np.mean([reward.total for reward in rewards]))}
    for part in sorted({part for reward in rewards for part in reward.parts}):
        means[part] = float(np.mean([reward.parts.get(part, 0.0) for reward in rewards]))
    with writing(out):
        records = _records(trees, rewards, outcomes, prepared.decode, name)
        rollouts.write_text(
            "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records),
            encoding="utf-8",
            errors="backslashreplace",
        )
        write_result(results, summary.to_record(name, recipe.training.seed) | {"rewards": means})
    return Evaluation(summary, outcomes, means, results, rollouts)


def _play(
    player: Player, tasks: Sequence[Task], reward: RewardConfig, done: Done | None
) -> tuple[list[RolloutTree], list[Reward], RewardFunction]:
    # A function of its own: what the training's reward remembers is not touched by validation.
    function = build_reward(reward)
    finished = 0

    def count(tree: RolloutTree) -> None:
        nonlocal finished
        finished += 1
        if done is not None:
            done(finished, len(tasks))

    trees = player.collect(
        tasks, run=("evaluate",), samples=1, params=SamplingParams(temperature=0.0), done=count
    )
    rewards = [rewards_of(function, tree.task, tree.rollouts())[0] for tree in trees]
    return trees, rewards, function


def _records(
    trees: Sequence[RolloutTree],
    rewards: Sequence[Reward],
    outcomes: Sequence[Outcome],
    decode: Callable[[int], str] | None,
    name: str,
) -> list[dict[str, Any]]:
    rollouts = tuple(tuple(tree.rollouts()) for tree in trees)
    flat = tuple((np.zeros(len(tree[0].token_ids)),) for tree in rollouts)
    experience = Experience(tuple(trees), rollouts, tuple((reward,) for reward in rewards), flat)
    records = rollout_records(0, experience, trees=len(trees), decode=decode)
    return [
        record | {"policy": name, "split": "heldout", "correct": float(outcome.correct)}
        for record, outcome in zip(records, outcomes, strict=True)
    ]
