"""DAST with a real policy: one round of data, and rounds of data and training from the first model."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from toolwise.core import Message, StopReason, Task, ToolwiseError, rewards_of, scorable
from toolwise.data.dast import DastPlan, DastReport, Draw, Drawn, Shot, run_dast
from toolwise.data.stage import Suffix
from toolwise.rewards import RewardConfig, build_reward
from toolwise.rollout import Player
from toolwise.sampling import SamplingParams
from toolwise.systems.loading import load_recipe
from toolwise.systems.material import refuse_tasks, split_tasks
from toolwise.systems.playing import prepare, single_turns
from toolwise.systems.policy import Say
from toolwise.systems.probing import Judge, ProbeSettings
from toolwise.systems.recipe import DPORecipe, HeldOut, RLRecipe, SFTRecipe
from toolwise.systems.training import train_dpo, train_sft

By = Literal["sft", "dpo"]
TEMPERATURE = 0.8
"""Of sampling; the authors' early code has 0.2 in one script and 0.8 in another."""


def dast_data(
    recipe: RLRecipe,
    plan: DastPlan,
    out: Path,
    name: str,
    *,
    judge: Judge | None = None,
    temperature: float = TEMPERATURE,
    suffix: Suffix = ".jsonl",
    say: Say = print,
) -> DastReport:
    """The data of one round, from the policy of a recipe; the same call goes on after a stop.

    Args:
        recipe: Policy, tasks, dialect, reward and limits. No tool is on offer.
        plan: Settings.
        out: The folder.
        name: Of the policy; another one samples anew.
        judge: What says that an answer is right; None: what the recipe's reward calls correct.
        temperature: Of sampling, > 0.
        suffix: Of the files.
        say: Hears what the user should know.

    Raises:
        ToolwiseError: The policy or the tasks cannot be used, or no query gets a right answer.
    """
    if temperature <= 0:
        raise ToolwiseError(
            "all samples of a query would be equal", where="temperature", mend="give one above 0"
        )
    tasks, _ = split_tasks(recipe.tasks, HeldOut())
    reward = ProbeSettings(judge=judge).reward(recipe)
    refuse_tasks(recipe.tasks, tasks, scorable(build_reward(reward)))
    bare = single_turns(recipe, temperature=temperature)
    asked = [replace(task, tools=()) for task in tasks]
    prepared = prepare(bare, asked, say)
    told = {
        "dialect": bare.dialect.model_dump(mode="json"),
        "rollout": bare.rollout.model_dump(mode="json"),
        "reward": reward.model_dump(mode="json"),
        "seed": recipe.training.seed,
        "tasks": [task.to_record() for task in asked],
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]
    draw = policy_draw(prepared.player, prepared.tasks, reward)
    at_once = max(1, prepared.at_once // max(plan.samples, plan.chunk))
    try:
        return asyncio.run(
            run_dast(
                prepared.tasks,
                draw,
                plan,
                out,
                name=f"{name} {digest}",
                suffix=suffix,
                concurrency=at_once,
            )
        )
    finally:
        prepared.close()
        if prepared.spent():
            say(prepared.spent())


def policy_draw(player: Player, tasks: Sequence[Task], reward: RewardConfig) -> Draw:
    """Draws samples with a player and judges them by a reward's part ``correct``.

    What is sampled depends on the player's seed, the query, the key and the sample only.
    """
    by_id = {task.id: task for task in tasks}
    params = SamplingParams(
        temperature=player.config.temperature, top_p=player.config.top_p, top_k=player.config.top_k
    )

    async def draw(name: str, shown: Sequence[Shot], key: str, count: int) -> list[Drawn]:
        task = with_exemplars(by_id[name], shown)
        tree = await player.play(task, run=("dast", key), samples=count, params=params)
        rollouts = tree.rollouts()
        if shown and any(one.stop is StopReason.CONTEXT and not one.completion for one in rollouts):
            raise ToolwiseError(
                f"{len(shown)} exemplars leave no room for an answer",
                where=f"task '{name}'",
                mend="show fewer with --shots, or none with --no-length",
            )
        rewards = rewards_of(build_reward(reward), tree.task, rollouts)
        return [
            Drawn(turn.content or turn.text, found.parts.get("correct", found.total) >= 1)
            for turn, found in zip((one.turns[-1] for one in rollouts), rewards, strict=True)
        ]

    return draw


def with_exemplars(task: Task, shown: Sequence[Shot]) -> Task:
    """The task with exemplars as earlier turns, after a system message where it has one."""
    if not shown:
        return task
    head = 1 if task.prompt[0]["role"] == "system" else 0
    turns: list[Message] = []
    for shot in shown:
        turns += [{"role": "user", "content": shot.question}, {"role": "assistant", "content": shot.answer}]
    return replace(task, prompt=(*task.prompt[:head], *turns, *task.prompt[head:]))


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to.

    Attributes:
        number: From 1.
        data: Of its data.
        run: The run folder of its model.
        metrics: Of the last training step; empty if the round had been finished before.
    """

    number: int
    data: DastReport
    run: Path
    metrics: dict[str, float]


def dast_rounds(
    sampling: RLRecipe,
    plan: DastPlan,
    out: Path,
    *,
    by: By,
    rounds: int = 3,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    judge: Judge | None = None,
    temperature: float = TEMPERATURE,
    say: Say = print,
    finished: Callable[[Round], None] | None = None,
) -> list[Round]:
    """Rounds of data and training: each samples with the newest model and trains the first one anew.

    Args:
        sampling: Says how to sample; its model is M_0.
        plan: Settings of each round's data.
        out: Gets ``round-N/data`` and ``round-N/run``.
        by: ``sft`` (DAST-S) or ``dpo`` (DAST-D).
        rounds: R ≥ 1.
        recipe: Of the training; None: ``dast-sft`` or ``dast-dpo``.
        overrides: Keys of it, ``a.b=c``.
        judge: See `dast_data`.
        temperature: See `dast_data`.
        say: Hears what the user should know.
        finished: Hears of each round.

    Returns:
        The rounds; the same call goes on after a stop.

    Raises:
        ToolwiseError: M_0 is no model in this process, or what the steps raise.
    """
    first = sampling.model.source
    if first is None:
        raise ToolwiseError(
            "the first model must be a folder or a hub id: it is trained anew in each round",
            where="model.source",
            mend="add --model FOLDER_OR_HUB_ID",
        )
    done: list[Round] = []
    current = first
    for number in range(1, rounds + 1):
        folder = out / f"round-{number}"
        say(f"round {number} of {rounds}: sampling with {current}")
        model = sampling.model.model_copy(update={"source": current})
        data = dast_data(
            sampling.model_copy(update={"model": model}),
            plan,
            folder / "data",
            current,
            judge=judge,
            temperature=temperature,
            say=say,
        )
        key = "demonstrations" if by == "sft" else "preferences"
        values: dict[str, Any] = {
            "model.source": first,
            "model.init": None,
            f"{key}.path": str(folder / "data" / f"{key}.jsonl"),
        }
        training = load_recipe(recipe or f"dast-{by}", overrides, values)
        if isinstance(training, SFTRecipe):
            metrics = train_sft(training, folder / "run", say=say)
        elif isinstance(training, DPORecipe):
            metrics = train_dpo(training, folder / "run", say=say)
        else:
            raise ToolwiseError(
                "is one of stage rl", where=f"recipe '{recipe}'", mend="give one of stage sft or dpo"
            )
        done.append(Round(number, data, folder / "run", metrics))
        if finished is not None:
            finished(done[-1])
        current = str(folder / "run")
    return done
