"""A made-up run with the shape of a real one: four stages, three policies, rollouts with errors too."""

import json
import math
import random
from pathlib import Path

from toolwise.evaluation import Outcome, summarise

KINDS = {
    "stable_fact": ("time", "type", False),
    "changed_fact": ("time", "type", True),
    "known_person": ("time", "entity", False),
    "unknown_person": ("time", "entity", True),
    "short_sum": ("math", "type", False),
    "long_product": ("math", "type", True),
    "common_default": ("intention", "type", False),
    "own_preference": ("intention", "type", True),
}
HABITS = {"sft": (0.93, 0.96, 0.86), "grpo": (0.99, 1.0, 0.98), "otc": (0.08, 0.93, 0.97)}
"""By policy: share called within, share called beyond, accuracy."""


def write_jsonl(path: Path, records) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def results(questions: int = 320):
    records = []
    for policy, (within, beyond, right) in HABITS.items():
        draw = random.Random(policy)
        outcomes = []
        for number in range(questions):
            kind = list(KINDS)[number % len(KINDS)]
            domain, level, needed = KINDS[kind]
            rate = (
                beyond if needed else min(1, within * (2.2 if level == "entity" and policy == "otc" else 1))
            )
            calls = int(draw.random() < rate)
            correct = draw.random() < (right if calls or not needed else 0.1)
            outcomes.append(Outcome(f"q{number}", domain, kind, level, needed, correct, calls, int(needed)))
        records.append(summarise(outcomes).to_record(policy, 0))
    return records


def metrics(stage: str, steps: int = 120):
    draw = random.Random(stage)
    for step in range(1, steps + 1):
        part = 1 - math.exp(-3 * step / steps)
        noise = draw.gauss(0, 0.04)
        if stage in ("pretrain", "sft"):
            yield {
                "step": step,
                "phase": stage,
                "loss": 0.2 + 4 * (1 - part) + noise,
                "learning_rate": 1e-3,
                "grad_norm": 1.2 + noise * 5,
                "seconds": 0.4 + noise,
                "tokens_per_second": 20000 + 9000 * noise,
            }
            continue
        within = 0.93 + 0.06 * part if stage == "grpo" else 0.93 * (1 - part) + 0.04
        yield {
            "step": step,
            "phase": "rl",
            "loss": noise,
            "reward_mean": min(1, 0.55 + 0.4 * part + noise),
            "accuracy": min(1, max(0, 0.7 + 0.27 * part + noise)),
            "calls_per_rollout": within / 2 + 0.47 + noise / 4,
            "calls_within": max(0, within + noise),
            "calls_beyond": 0.95 + noise / 3,
            "zero_variance_share": min(1, max(0, 0.1 + 0.3 * part + noise)),
            "clipped_share": abs(noise) / 3,
            "parse_error_share": max(0, 0.08 * (1 - part) + noise / 8),
            "entropy": 0.35 * (1 - part) + 0.1 + noise / 6,
            "kl": 0.05 * part + abs(noise) / 10,
            "learning_rate": 3e-4 * (1 - step / steps) + 1e-5,
            "grad_norm": 0.8 + noise * 3,
            "seconds": 2.5 + noise * 4,
            "advantage_std": 0.3 + noise,
        }


def pieces(text: str) -> list[str]:
    found, word = [], ""
    for character in text:
        if character == " " and word:
            found.append(word)
            word = ""
        word += character
    return [*found, word]


def turn(role, text, draw, sampled=False, pull=None, **rest):
    tokens = pieces(text)
    record = {
        "role": role,
        "text": text,
        "thought": "",
        "calls": [],
        "results": [],
        "answer": None,
        "error": None,
        "sampled": sampled,
        "token_ids": list(range(len(tokens))),
        "tokens": tokens,
        "seconds": 0.01,
        "logprobs": [-abs(draw.gauss(0, 0.8)) for _ in tokens] if sampled else [],
    }
    if pull is not None:
        record["advantages"] = [pull if sampled else 0.0 for _ in tokens]
    return record | rest


def rollout(stage, step, question, sample, split="train"):
    draw = random.Random(f"{stage}{step}{question}{sample}{split}")
    kind = list(KINDS)[question % len(KINDS)]
    domain, level, needed = KINDS[kind]
    within, beyond, _ = HABITS.get(stage, HABITS["sft"])
    calls = draw.random() < (beyond if needed else within)
    broken = calls and draw.random() < 0.08
    correct = (calls and not broken) or (not needed and draw.random() < 0.95)
    reward = float(correct) * (1 if calls == needed or stage != "otc" else 0.87)
    pull = (
        round(draw.choice([-1, 1]) * abs(draw.gauss(0, 0.6)), 3) if split == "train" and sample != 3 else 0.0
    )
    name = f"Mira Doval-{question}"
    asked = f"<|system|>\nYou may call: search, calculator, ask_user.\n<|user|>\nWhere was {name} born? "
    turns = [turn("prompt", asked, draw, pull=0.0)]
    if calls:
        error = "malformed_call" if broken else None
        call = {"name": "search", "arguments": {"query": f"{name} born"}}
        recalled = "I do not recall this person." if needed else "Mira Doval was born in Halm."
        written = f"<think>\n{recalled}\n</think>\n<tool_call>\n{json.dumps(call)}\n</tool_call>"
        if broken:
            call |= {"error": error, "detail": "the closing brace is missing"}
        turns.append(turn("assistant", written, draw, True, pull, calls=[call]))
        content = "error: malformed_call" if broken else f"{name} was born in Halm in 1961."
        result = {"name": "search", "content": content, "error": error, "seconds": 0.004}
        shown = f"<tool_response>\n{content}\n</tool_response>\n"
        turns.append(turn("tool", shown, draw, pull=0.0, results=[result]))
    answer = "Halm" if correct else "Ostrava"
    turns.append(
        turn("assistant", f"<think>\nThat settles it.\n</think>\n{answer}", draw, True, pull, answer=answer)
    )
    return {
        "step": step,
        "policy": stage,
        "split": split,
        "task_id": f"{kind}-{question:04d}",
        "sample": sample,
        "group": f"{kind}-{question:04d}",
        "reward": reward,
        "parts": {"correct": float(correct), "tool": reward},
        "stop": "answered",
        "turns": turns,
        "info": {"domain": domain, "kind": kind, "level": level, "needs_tool": needed},
    }


def write_run(folder: Path, steps: int = 120) -> Path:
    stages = ["pretrain", "sft", "grpo", "otc"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stages.json").write_text(json.dumps(stages))
    (folder / "results.json").write_text(json.dumps(results()))
    for stage in stages:
        write_jsonl(folder / stage / "metrics.jsonl", metrics(stage, steps))
        (folder / stage / "config.yaml").write_text(f"stage: {stage}\nlearning_rate: 3.0e-4\n")
        if stage in ("grpo", "otc"):
            for step in range(1, steps + 1, 20):
                write_jsonl(
                    folder / stage / "rollouts" / f"step-{step:05d}.jsonl",
                    [
                        rollout(stage, step, step + question, sample)
                        for question in range(4)
                        for sample in range(4)
                    ],
                )
            held_out = [rollout(stage, steps, 900 + question, 0, "eval") for question in range(40)]
            write_jsonl(folder / stage / "rollouts" / "eval.jsonl", held_out)
    return folder
