"""The probe of a real model: what it knows without tools, found out question by question."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from toolwise.core import RolloutTree, StopReason, Task, ToolwiseError, rewards_of, scorable
from toolwise.evaluation import Knowledge, Outcome, Thresholds, label_knowledge, mark_boundary, outcome_of
from toolwise.evaluation.probe import F1_CORRECT_FROM, SAMPLES, TEMPERATURE
from toolwise.rewards import ExactMatchConfig, F1Config, NumericConfig, RewardConfig, build_reward
from toolwise.rollout import Player
from toolwise.sampling import SamplingParams
from toolwise.systems.material import refuse_tasks, split_tasks
from toolwise.systems.playing import prepare, single_turns
from toolwise.systems.policy import Say
from toolwise.systems.probe_file import SETTINGS, ProbeFile
from toolwise.systems.recipe import HeldOut, RLRecipe

Judge = Literal["exact_match", "f1", "numeric"]

MARKER = "Answer:"
SHORT_ANSWER = f"""\
Answer the question from memory, as well as you can. Think briefly if you need to; then end with a line that
begins with "{MARKER}" and holds nothing but the answer, in as few words or digits as possible."""
"""What ``short`` puts in front of each question, in the project's own words."""

_JUDGES: dict[str, type[ExactMatchConfig | F1Config | NumericConfig]] = {
    "exact_match": ExactMatchConfig,
    "f1": F1Config,
    "numeric": NumericConfig,
}


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How a probe asks and judges.

    Attributes:
        samples: k, how often each question is asked, ≥ 1.
        temperature: Of sampling, ≥ 0.
        thresholds: From shares to labels.
        judge: What says that an answer is right; None: what the recipe's reward calls correct.
        correct_from: Correctness from which a sample is right, in (0, 1]; None: 1, and 0.5 for ``f1``.
        short: Ask for a last line ``Answer: …`` and judge only that, for models that write sentences.
    """

    samples: int = SAMPLES
    temperature: float = TEMPERATURE
    thresholds: Thresholds = field(default_factory=Thresholds)
    judge: Judge | None = None
    correct_from: float | None = None
    short: bool = False

    def reward(self, recipe: RLRecipe) -> RewardConfig:
        """The reward whose part ``correct`` judges an answer.

        Raises:
            ToolwiseError: The recipe's reward knows no correctness.
        """
        chosen: Any = _JUDGES[self.judge]() if self.judge else recipe.reward
        chosen = getattr(chosen, "correctness", chosen)
        if chosen.type not in (*_JUDGES, "custom"):
            raise ToolwiseError(
                f"the recipe's reward {chosen.type!r} does not tell whether an answer is right",
                where="reward.type",
                mend=f"add --judge, one of {', '.join(_JUDGES)}",
            )
        if self.short and chosen.type in _JUDGES and chosen.after is None:
            chosen = chosen.model_copy(update={"after": MARKER})
        reward: RewardConfig = chosen
        return reward


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe found.

    Attributes:
        knowledge: By question, in the order of the tasks.
        cut: Samples that a limit cut; they count as wrong.
        calls: Samples that wrote a call although there were no tools; they count as wrong.
        earlier: Questions that stood in the file already.
        path: The task file.
    """

    knowledge: dict[str, Knowledge]
    cut: int
    calls: int
    earlier: int
    path: Path


def probe_model(
    recipe: RLRecipe,
    settings: ProbeSettings,
    out: Path,
    name: str,
    *,
    done: Callable[[int, int], None] | None = None,
    say: Say = print,
) -> Probed:
    """Ask a model every question k times without tools, and write the tasks with what it knows.

    Each finished question is appended to `out`. The same call goes on where one was stopped; what is sampled
    depends on the seed, the question and the sample only, so the file comes out the same. At the end it is
    written anew in the order of the questions. With other thresholds it is labelled again, and nobody asked.

    Args:
        recipe: Model, tasks, dialect, reward and limits.
        settings: How to ask and judge.
        out: The task file, ``.jsonl``.
        name: Name of the model, kept in the file.
        done: Hears of finished questions: how many, of how many.
        say: Hears what the user should know.

    Raises:
        ToolwiseError: The model or the tasks cannot be used, or `out` is the file of another probe.
    """
    _check(settings)
    tasks, _ = split_tasks(recipe.tasks, HeldOut())
    reward = settings.reward(recipe)
    correct_from = settings.correct_from
    if correct_from is None:
        correct_from = F1_CORRECT_FROM if reward.type == "f1" else 1.0
    refuse_tasks(recipe.tasks, tasks, scorable(build_reward(reward)))
    bare = single_turns(recipe)
    file = ProbeFile(out, _fingerprint(recipe, settings, reward, correct_from, name))
    earlier = [task for task in tasks if task.id in file.found]
    _refuse_changed(out, earlier, file)
    missing = [_asked(task, settings.short) for task in tasks if task.id not in file.found]
    whole = {task.id: task for task in tasks}

    def finished(tree: RolloutTree) -> None:
        found = _judged(tree, reward, correct_from)
        (known,) = label_knowledge(found, settings.thresholds).values()
        extra = {
            "cut": sum(outcome.stop not in (StopReason.ANSWERED, StopReason.MAX_TURNS) for outcome in found),
            "calls": sum(outcome.calls > 0 for outcome in found),
        }
        (task,) = mark_boundary([whole[tree.task.id]], {tree.task.id: known})
        file.add(task, known.correct, extra)
        if done is not None:
            done(len(file.found), len(tasks))

    if missing:
        prepared = prepare(bare, missing, say)
        if earlier:
            say(f"{len(earlier)} of {len(tasks)} questions stand in {out} already")
        at_once = max(1, prepared.at_once // settings.samples)
        with closing(prepared):
            asyncio.run(_ask(prepared.player, prepared.tasks, settings, at_once, finished))
        if prepared.spent():
            say(prepared.spent())
    return _finish(tasks, file, settings, len(earlier))


def _check(settings: ProbeSettings) -> None:
    if settings.samples < 1:
        raise ToolwiseError(
            f"samples is {settings.samples}", where="probe", mend="ask each question at least once"
        )
    if settings.samples > 1 and settings.temperature == 0:
        raise ToolwiseError(
            "at temperature 0 all samples of a question are equal",
            where="probe",
            mend="give a temperature above 0, or ask once (samples 1)",
        )
    if settings.correct_from is not None and not 0 < settings.correct_from <= 1:
        raise ToolwiseError(
            f"correct_from is {settings.correct_from}", where="probe", mend="give one above 0 and up to 1"
        )


def _fingerprint(
    recipe: RLRecipe, settings: ProbeSettings, reward: RewardConfig, correct_from: float, name: str
) -> dict[str, Any]:
    """What must be equal for a probe to go on."""
    asked = {
        "dialect": recipe.dialect.model_dump(mode="json"),
        "judge": reward.model_dump(mode="json"),
        "top_p": recipe.rollout.top_p,
        "top_k": recipe.rollout.top_k,
        "max_tokens": recipe.rollout.limits.max_turn_tokens,
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return {
        "model": name,
        "samples": settings.samples,
        "temperature": settings.temperature,
        "judge": reward.type,
        "correct_from": correct_from,
        "short": settings.short,
        "seed": recipe.training.seed,
        "settings": digest[:16],
    }


def _refuse_changed(out: Path, tasks: Sequence[Task], file: ProbeFile) -> None:
    for task in tasks:
        there = file.found[task.id]
        if (list(there.prompt), there.answer) != ([dict(message) for message in task.prompt], task.answer):
            raise ToolwiseError(
                f"task '{task.id}' stands there with another prompt or answer",
                where=str(out),
                mend="name another file with --out",
            )


def _asked(task: Task, short: bool) -> Task:
    """The task as it is asked: without tools."""
    if not short:
        return replace(task, tools=())
    first, *rest = task.prompt
    if first["role"] == "system":
        content = f"{first.get('content') or ''}\n\n{SHORT_ANSWER}".strip()
        return replace(task, tools=(), prompt=({**first, "content": content}, *rest))
    return replace(task, tools=(), prompt=({"role": "system", "content": SHORT_ANSWER}, *task.prompt))


async def _ask(
    player: Player,
    tasks: Sequence[Task],
    settings: ProbeSettings,
    at_once: int,
    finished: Callable[[RolloutTree], None],
) -> None:
    slots = asyncio.Semaphore(at_once)
    params = SamplingParams(
        temperature=settings.temperature, top_p=player.config.top_p, top_k=player.config.top_k
    )

    async def one(task: Task) -> None:
        async with slots:
            finished(await player.play(task, run=("probe",), samples=settings.samples, params=params))

    await asyncio.gather(*(one(task) for task in tasks))


def _judged(tree: RolloutTree, reward: RewardConfig, correct_from: float) -> list[Outcome]:
    rollouts = tree.rollouts()
    rewards = rewards_of(build_reward(reward), tree.task, rollouts)
    # What the file said of the boundary before is no business of this probe.
    task = replace(tree.task, info={})
    return [
        outcome_of(task, rollout, found.parts.get("correct", found.total) >= correct_from)
        for rollout, found in zip(rollouts, rewards, strict=True)
    ]


def _finish(tasks: Sequence[Task], file: ProbeFile, settings: ProbeSettings, earlier: int) -> Probed:
    probed = [task for task in tasks if task.id in file.found]
    knowledge: dict[str, Knowledge] = {}
    cut = calls = 0
    for task in probed:
        there = file.found[task.id].info[SETTINGS]
        correct, samples = int(there["correct"]), settings.samples
        label = settings.thresholds.label(correct / samples)
        knowledge[task.id] = Knowledge(task.id, samples, correct, label)
        cut, calls = cut + int(there.get("cut", 0)), calls + int(there.get("calls", 0))
    marked = mark_boundary([file.found[task.id] for task in probed], knowledge)
    others = [task for name, task in file.found.items() if name not in knowledge]
    file.finish([task.id for task in (*marked, *others)], {task.id: task for task in (*marked, *others)})
    return Probed(knowledge, cut, calls, earlier, file.path)
