"""Vectors of the ToolRL reward, as measured in its published program."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolwise.dialects import assistant_text
from toolwise.rewards.toolrl import ToolRLSettings, toolrl_score
from toolwise.testing.vectors.comparison import Check, check, difference, read_lines

TOLERANCE = 1e-9
VARIANTS: Mapping[str, dict[str, Any]] = {
    "default": {},
    "length": {"length": "fixed"},
    "length_schedule_flag_alone": {},  # the program ignores the flag without the one for length
    "length_dynamic": {"length": "dynamic"},
    "equal_max": {"equal_max": True},
    "two_stage": {"two_stage": True},
    "dynamic_scale": {"dynamic_scale": True},
    "finegrained": {"finegrained": True},
    "intermediate": {"intermediate": True},
    "coarse": {"coarse": True},
    "strictmatch_flag_noop": {},  # no code reads this flag
}


def _settings(variant: str) -> ToolRLSettings:
    chosen: dict[str, Any] = {}
    for part in variant.split("+"):
        chosen |= VARIANTS[part]
    return ToolRLSettings(**chosen)


def _expected_turn(record: Mapping[str, Any]) -> str:
    """The program finds the template by a substring of the experiment's name."""
    name = record["experiment_name"]
    if "llama" in name:
        return assistant_text(record["solution_str"], "llama")
    if "qwen" in name:
        return assistant_text(record["solution_str"], "qwen")
    raise NotImplementedError(name)


def _cell(record: Mapping[str, Any], cell: str, expected: Mapping[str, Any]) -> str:
    variant, _, step = cell.rpartition("@")
    try:
        text = _expected_turn(record)
        score = toolrl_score(text, record["ground_truth"], _settings(variant), int(step))
    except (NotImplementedError, json.JSONDecodeError) as error:
        raised = type(error).__name__
        return "" if expected.get("raises") == raised else f"raised {raised}, expected {expected}"
    if "raises" in expected:
        return f"gave {score.total}, expected {expected['raises']}"
    ours = {
        "total": score.total,
        "format": score.format,
        "correctness": score.correctness,
        "length": score.length,
    }
    return difference(ours, expected, TOLERANCE)


def checks(path: Path) -> Iterator[Check]:
    """Compare ``toolrl_vectors.jsonl``: every variant at every step of every case."""
    for record in read_lines(path):
        for cell, expected in record["expected"].items():
            yield check(f"{record['id']} {cell}", _cell, record, cell, expected)
