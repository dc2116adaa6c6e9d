"""The sides of `benchmarks.rollouts`: ``python -m benchmarks.rollout_sides {toolwise,trl,waits} …``."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.folders import look_up, questions, schema
from benchmarks.peers import quiet_trl, run_side, say

GROUP, TASKS, TURNS, TURN_TOKENS, CONTEXT = 8, 4, 4, 96, 640
WAITING = 64
"""Rollouts at once in the measurement with slow tools."""
LIMIT = 2.0
"""Seconds after which a tool is cut off."""


def delays(rollout: int) -> list[float]:
    """Seconds of a rollout's tool calls: log-normal, 50 to 500 ms, and one in fifty takes 10 s."""
    rng = random.Random(rollout)
    return [
        10.0 if rng.random() < 0.02 else min(0.5, max(0.05, rng.lognormvariate(-1.9, 0.6)))
        for _ in range(TURNS)
    ]


def collector(folder: Path, function: Any, group: int) -> Any:
    """Toolwise's collector over the folder's model."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from toolwise.dialects import HermesDialect
    from toolwise.rollout import Collector, CollectorConfig, Limits
    from toolwise.sampling import EmbeddedSampler
    from toolwise.tools import Tool, Toolbox

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa").eval()
    described = schema()["function"]
    tool = Tool("look_up", described["description"], described["parameters"], function, time_limit=LIMIT)
    limits = Limits(max_turns=TURNS, max_turn_tokens=TURN_TOKENS)
    config = CollectorConfig(tasks_per_step=TASKS, group_size=group, limits=limits)
    dialect = HermesDialect(AutoTokenizer.from_pretrained(folder))
    return Collector(EmbeddedSampler(model), dialect, Toolbox([tool]), config, 0)


def tasks(texts: list[str]) -> list[Any]:
    """Each text as a task with the tool."""
    from toolwise.core import Task

    return [Task(f"t{n}", ({"role": "user", "content": text},), ("look_up",)) for n, text in enumerate(texts)]


def toolwise(folder: Path, rounds: int) -> None:
    """Tool loops with Toolwise."""
    made = collector(folder, look_up, GROUP)
    sampled = calls = 0
    seconds = 0.0
    for number in range(rounds + 1):
        begun = time.perf_counter()
        trees = made.collect(tasks(questions(TASKS, seed=100 + number)), run=("round", number))
        if number:
            seconds += time.perf_counter() - begun
            sampled += sum(len(turn.token_ids) for tree in trees for turn in tree.turns if turn.sampled)
            calls += sum(rollout.calls for tree in trees for rollout in tree.rollouts())
            # The keys and values of old weights would be dropped between two steps of training.
            made.sampler.update_weights()
    _said(sampled, calls, seconds, rounds)


def trl(folder: Path, rounds: int) -> None:
    """The same loops with TRL's trainer."""
    quiet_trl()
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    with tempfile.TemporaryDirectory() as scratch:
        settings = GRPOConfig(
            output_dir=scratch,
            per_device_train_batch_size=GROUP * TASKS,
            num_generations=GROUP,
            max_completion_length=CONTEXT,
            max_tool_calling_iterations=TURNS - 1,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
        )
        asked = [questions(TASKS, seed=100 + number) for number in range(rounds + 1)]
        rows = [{"prompt": [{"role": "user", "content": text}]} for texts in asked for text in texts]
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa"),
            reward_funcs=lambda completions, **columns: [0.0] * len(completions),
            args=settings,
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(folder, padding_side="left"),
            tools=[look_up],
        )
        trainer.model.train()
        sampled, seconds, frequencies = 0, 0.0, []
        for number, texts in enumerate(asked):
            prompts = [
                {"prompt": [{"role": "user", "content": text}]} for text in texts for _ in range(GROUP)
            ]
            begun = time.perf_counter()
            found = trainer._generate_and_score_completions(prompts)
            if number:
                seconds += time.perf_counter() - begun
                sampled += int((found["completion_mask"] * found["tool_mask"]).sum())
                frequencies.append(trainer._metrics["train"]["tools/call_frequency"][-1])
    _said(sampled, sum(frequencies) * GROUP * TASKS, seconds, rounds)


def waits(folder: Path, rounds: int) -> None:
    """A batch with slow tools, against its sampling alone and against its slowest rollout alone."""

    def slowed(wait: bool) -> Any:
        async def slow(topic: str, region: str, limit: int, session: Any) -> str:
            number = int(session.task.id[1:])
            mine = session.state_of("look_up")
            call = mine["calls"] = mine.get("calls", -1) + 1
            if wait:
                await asyncio.sleep(delays(number)[call % TURNS])
            return look_up(topic, region, limit)

        return slow

    asked = tasks(questions(WAITING, seed=7))
    spent = {number: sum(min(LIMIT, delay) for delay in delays(number)[:-1]) for number in range(WAITING)}
    slowest = max(spent, key=lambda number: spent[number])
    figures: dict[str, float] = {"slowest_tools": spent[slowest]}
    for name, wait, chosen in (
        ("sampling", False, asked),
        ("slowest", True, [asked[slowest]]),
        ("batch", True, asked),
    ):
        made = collector(folder, slowed(wait), 1)
        made.collect(asked[:8], run=("warm", name)) if not wait else None
        made.sampler.update_weights()
        begun = time.perf_counter()
        trees = made.collect(chosen, run=("measured",))
        figures[name] = time.perf_counter() - begun
        figures[f"{name}_calls"] = sum(rollout.calls for tree in trees for rollout in tree.rollouts()) / len(
            trees
        )
    figures["ratio"] = figures["batch"] / max(figures["sampling"], figures["slowest"])
    say(figures)


def _said(sampled: float, calls: float, seconds: float, rounds: int) -> None:
    say(
        {
            "tokens_per_second": sampled / seconds,
            "sampled_tokens": sampled,
            "calls_per_rollout": calls / (rounds * GROUP * TASKS),
            "seconds": seconds,
        }
    )


if __name__ == "__main__":
    run_side(__doc__, {"toolwise": toolwise, "trl": trl, "waits": waits}, "rounds")
