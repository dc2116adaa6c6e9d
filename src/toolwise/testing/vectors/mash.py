"""Vectors of MASH's reward, as measured in its published program."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolwise.core import Task
from toolwise.rewards.mash import MashReward, hotpot_f1, tag_errors
from toolwise.rewards.text import exact_match
from toolwise.testing.vectors.comparison import Check, check, difference, read_json
from toolwise.testing.vectors.otc import Given, rollout_with_calls


def _step(reward: MashReward, given: Given, step: Mapping[str, Any], tolerance: float) -> str:
    """Score one training step, whose rows are grouped by question."""
    rewards, penalties = [0.0] * len(step["questions"]), [0.0] * len(step["questions"])
    for question in dict.fromkeys(step["questions"]):
        rows = [row for row, other in enumerate(step["questions"]) if other == question]
        task = Task(question, ({"role": "user", "content": "?"},))
        given.values = [float(step["correct"][row]) for row in rows]
        found = reward(task, [rollout_with_calls(task, step["num_searches"][row]) for row in rows])
        for row, one in zip(rows, found, strict=True):
            rewards[row], penalties[row] = one.total, one.parts["tool"]
    minima = reward.state_dict()["minima"]
    known = step.get("tracker", {}).get("d", {})
    expected = {question: None if value == "inf" else value for question, value in known.items()}
    ours = {
        "rewards": rewards,
        "penalties": penalties,
        "minima": {question: minima.get(question) for question in expected},
    }
    theirs = {"rewards": step["rewards"], "penalties": step["penalties"], "minima": expected}
    return difference(ours, theirs, tolerance)


def _format(case: Mapping[str, Any]) -> str:
    for name, documents in (("strict", case["topk"]), ("relaxed", None)):
        errors = tag_errors(case["output"], documents)
        score, expected = case[name]
        if errors != list(expected) or float(not errors) != score:
            return f"{name}: {errors}, expected {expected}"
    return ""


def _correctness(case: Mapping[str, Any], tolerance: float) -> str:
    found = re.findall(r"<answer>(.*?)</answer>", case["output"], re.DOTALL)
    golds = [case["gold"]] if isinstance(case["gold"], str) else case["gold"]
    answer = str(found[-1]).strip() if found else None
    ours = [0.0, 0.0] if answer is None else [float(exact_match(answer, golds)), hotpot_f1(answer, golds)]
    return difference(ours, case["em_f1"], tolerance)


def checks(path: Path) -> Iterator[Check]:
    """Compare ``mash_reward.json``."""
    content = read_json(path)
    tolerance = content.get("source", {}).get("tolerance", 1e-5)
    for case in content["penalty_cases"]:
        config, given = case["config"], Given([])
        decay = config["exponential_lambda"]
        reward = MashReward(
            given,
            config["retrieval_penalty_type"],
            0.7 if decay is None else decay,
            config["max_searches"],
        )
        for number, step in enumerate(case["steps_in_order"]):
            name = f"{config['retrieval_penalty_type']} step {number}"
            yield check(name, _step, reward, given, step, tolerance)
    for number, case in enumerate(content["format_cases"]):
        yield check(f"format {number}", _format, case)
    for number, case in enumerate(content["correctness_cases"]):
        yield check(f"correctness {number}", _correctness, case, tolerance)
