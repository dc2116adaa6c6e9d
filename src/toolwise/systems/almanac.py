"""The stages of the almanac experiment: pretraining, cold start, reinforcement, evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from toolwise.advantages import build_advantage
from toolwise.core import RolloutTree, Task, seed_for
from toolwise.dialects import Dialect, HermesDialect
from toolwise.evaluation import Outcome, outcome_of, summarise
from toolwise.learning import (
    Critic,
    Learner,
    LearnerConfig,
    RunFolder,
    TokenTree,
    train_policy,
    train_supervised,
    value_model,
)
from toolwise.learning.losses import PPOLossConfig
from toolwise.rewards import ExactMatchConfig, OTCConfig, build_reward
from toolwise.rollout import Collector, CollectorConfig, Limits
from toolwise.sampling import EmbeddedSampler
from toolwise.systems.almanac_settings import ColdStartConfig, PretrainingConfig, ReinforcementConfig
from toolwise.worlds.almanac import (
    KINDS,
    TOOLS,
    Almanac,
    Question,
    Split,
    pretraining_documents,
    sample_questions,
    tasks,
)
from toolwise.worlds.almanac.agent import PretrainingText, almanac_toolbox, recall
from toolwise.worlds.almanac.base import new_model, train_tokenizer
from toolwise.worlds.almanac.demonstrations import demonstrate

Progress = Callable[[int, int, Mapping[str, float]], None]
CORRECT = ExactMatchConfig(after="Answer:")
PERSONS = ("known person", "unknown person")
UNREAD = 1_000_000
"""Passes over the text from this one on are not part of pretraining."""


@dataclass(frozen=True)
class Agent:
    """A policy with what it needs to act in the almanac."""

    world: Almanac
    model: PreTrainedModel
    tokenizer: Any
    limits: ClassVar[Limits] = Limits(max_turns=4, max_turn_tokens=48)
    correct: ClassVar[ExactMatchConfig] = CORRECT

    @classmethod
    def load(cls, world: Almanac, folder: Path) -> Self:
        """The agent whose model lies in a folder."""
        model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa")
        return cls(world, model, AutoTokenizer.from_pretrained(folder))

    @property
    def dialect(self) -> Dialect:
        """How it writes turns."""
        return HermesDialect(self.tokenizer)

    def sampler(self) -> EmbeddedSampler:
        """An engine on this very model."""
        return EmbeddedSampler(
            self.model, decode=lambda ids: str(self.tokenizer.decode(list(ids))), max_rows=256
        )

    def collector(self, config: CollectorConfig, seed: int) -> tuple[EmbeddedSampler, Collector]:
        """An engine, and the collector that uses it."""
        sampler = self.sampler()
        return sampler, Collector(sampler, self.dialect, almanac_toolbox(self.world), config, seed)

    def demonstrate(
        self,
        chosen: Sequence[tuple[Question, int]],
        beliefs: Sequence[str],
        config: ColdStartConfig,
        seed: int,
    ) -> list[RolloutTree]:
        """What it imitates in its cold start: mostly, too often, calls."""
        return demonstrate(
            self.world,
            chosen,
            beliefs,
            almanac_toolbox(self.world).specs(TOOLS),
            self.dialect,
            direct_share=config.direct_share,
            decision_weight=config.decision_weight,
            seed=seed,
        )


def load_agent(world: Almanac, folder: Path) -> Agent:
    """The agent whose model lies in a folder."""
    return Agent.load(world, folder)


def pretrain(
    world: Almanac, config: PretrainingConfig, run: RunFolder, *, seed: int, progress: Progress | None = None
) -> Path:
    """Train the tokenizer and the base model from scratch; the checkpoint."""
    tokenizer = train_tokenizer(world)
    model = new_model(tokenizer, seed_for(seed, "weights") % 2**31)
    trees = PretrainingText(world, tokenizer, range(config.distinct))
    documents = sum(1 for _ in pretraining_documents(world, 0))
    steps = config.passes * documents // config.batch_size
    learner = Learner(
        model,
        LearnerConfig(
            learning_rate=config.learning_rate, schedule="cosine", warmup_steps=20, total_steps=steps
        ),
    )
    train_supervised(
        learner,
        trees,
        run=run,
        batch_size=config.batch_size,
        seed=seed,
        steps=steps,
        checkpoint_every=steps,
        tokenizer=tokenizer,
        progress=progress,
    )
    return run.checkpoints[-1]


def cold_start(
    base: Agent, config: ColdStartConfig, run: RunFolder, *, seed: int, progress: Progress | None = None
) -> Path:
    """Imitate tool use; the checkpoint."""
    counts = dict.fromkeys(KINDS, config.questions) | dict.fromkeys(PERSONS, config.person_questions)
    chosen = _filled(sample_questions(base.world, "train", counts, seed), counts)
    base.model.eval()
    distinct = list(dict.fromkeys(question for question, _ in chosen))
    believed = dict(zip(distinct, recall(distinct, EmbeddedSampler(base.model), base.tokenizer), strict=True))
    beliefs = [believed[question] for question, _ in chosen]
    demonstrations = base.demonstrate(chosen, beliefs, config, seed)
    again = PretrainingText(
        base.world, base.tokenizer, count(UNREAD), limit=round(config.rehearsal * len(demonstrations))
    )
    steps = config.passes * -(-len(demonstrations) // config.batch_size)
    learner = Learner(
        base.model,
        LearnerConfig(
            learning_rate=config.learning_rate,
            schedule="cosine",
            warmup_steps=10,
            total_steps=steps,
        ),
    )
    train_supervised(
        learner,
        [*(TokenTree.supervised(tree) for tree in demonstrations), *again],
        run=run,
        batch_size=round(config.batch_size * (1 + config.rehearsal)),
        seed=seed,
        steps=steps,
        checkpoint_every=steps,
        tokenizer=base.tokenizer,
        progress=progress,
    )
    return run.checkpoints[-1]


def _filled(chosen: Sequence[tuple[Question, int]], counts: Mapping[str, int]) -> list[tuple[Question, int]]:
    """As many of each kind as asked for: those of a kind that has fewer come round again."""
    return [
        pair
        for kind, count in counts.items()
        for pair in islice(cycle(pair for pair in chosen if pair[0].kind == kind), count)
    ]


def reinforce(
    agent: Agent,
    reward: Literal["correct", "otc"],
    config: ReinforcementConfig,
    run: RunFolder,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Path:
    """Train by reinforcement on correctness alone, or on correctness × tool coefficient; the checkpoint."""
    sampler, collector = agent.collector(config.rollout, seed)
    pool = tasks(agent.world, "train", _mix(config.steps * config.rollout.tasks_per_step), seed)
    held = tasks(agent.world, "validation", dict.fromkeys(KINDS, 16))

    def collect(step: int) -> list[RolloutTree]:
        agent.model.eval()
        sampler.update_weights()
        return collector.collect(collector.batch(pool, step - 1), run=("train", step))

    def validate(step: int) -> dict[str, float]:
        outcomes, _ = evaluate(agent, held, seed=seed)
        summary = summarise(outcomes).to_record("policy", seed)
        names = ("accuracy", "accuracy_within", "accuracy_beyond", "calls_within", "calls_beyond")
        return {
            (f"validation_{name}" if name == "accuracy" else name): float(summary[name])
            for name in (*names, "boundary_agreement")
        }

    # Without groups to compare, n of OTC has no meaning: the form for a critic takes the calls alone.
    form: Literal["grpo", "ppo"] = "grpo" if config.critic is None else "ppo"
    rule = (
        CORRECT
        if reward == "correct"
        else OTCConfig(correctness=CORRECT, smoothing=config.smoothing, form=form)
    )
    settings = LearnerConfig(
        learning_rate=config.learning_rate,
        schedule="linear",
        warmup_steps=3,
        total_steps=config.steps * config.mini_batches,
    )
    learner = Learner(agent.model, settings)
    critic = None
    if config.critic is not None:
        own = settings.model_copy(update={"learning_rate": config.critic.learner.learning_rate})
        critic = Critic(
            value_model(agent.model, seed_for(seed, "critic"), config.critic.head),
            config.critic.model_copy(update={"learner": own}),
        )
    train_policy(
        learner,
        collect,
        build_reward(rule),
        build_advantage(config.advantage),
        run=run,
        steps=config.steps,
        seed=seed,
        loss=PPOLossConfig(),
        critic=critic,
        mini_batches=config.mini_batches,
        checkpoint_every=config.steps,
        tokenizer=agent.tokenizer,
        validate=validate,
        validate_every=20,
        progress=progress,
    )
    return run.checkpoints[-1]


def evaluate(
    agent: Agent,
    questions: Sequence[Task],
    *,
    seed: int,
    done: Callable[[RolloutTree], None] | None = None,
) -> tuple[list[Outcome], list[RolloutTree]]:
    """Answer questions greedily, once each; what came of it, and the rollouts."""
    agent.model.eval()
    _, collector = agent.collector(CollectorConfig(group_size=1, temperature=0.0, limits=agent.limits), seed)
    trees = collector.collect(questions, run=("evaluation",), done=done)
    judge = build_reward(agent.correct)
    outcomes = []
    for tree in trees:
        (rollout,) = tree.rollouts()
        (verdict,) = judge(tree.task, [rollout])
        outcomes.append(outcome_of(tree.task, rollout, verdict.total >= 1))
    return outcomes, trees


def heldout_questions(world: Almanac, persons: int = 160, others: int = 80) -> list[Task]:
    """The held-out questions of every kind, as many of each as asked for or as there are."""
    split: Split = "heldout"
    return tasks(world, split, {kind: persons if kind in PERSONS else others for kind in KINDS})


def write_evaluation(
    path: Path, policy: str, trees: Sequence[RolloutTree], outcomes: Sequence[Outcome], tokenizer: Any
) -> None:
    """Write evaluated rollouts where the report finds them, one JSON object a line."""
    lines = []
    for tree, outcome in zip(trees, outcomes, strict=True):
        (rollout,) = tree.rollouts()
        turns = [
            turn.to_record() | {"tokens": [tokenizer.decode([token]) for token in turn.token_ids]}
            for turn in rollout.turns
        ]
        record = {
            "step": 0,
            "policy": policy,
            "split": "eval",
            "task_id": tree.task.id,
            "sample": 0,
            "group": rollout.group,
            "reward": float(outcome.correct),
            "parts": {"correct": float(outcome.correct)},
            "stop": str(rollout.stop),
            "info": dict(tree.task.info) | {"answer": tree.task.answer},
            "turns": turns,
        }
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")


def _mix(total: int) -> dict[str, int]:
    """Three times as many questions about people as of any other kind: theirs is the hard boundary."""
    share = {kind: 3 if kind in PERSONS else 1 for kind in KINDS}
    return {kind: max(1, total * part // sum(share.values())) for kind, part in share.items()}
