"""Vectors of Search-R1's reward, as measured in its published program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from toolwise.rewards.search_r1 import (
    SearchR1Points,
    extract_answer,
    retrieved_gold,
    search_r1_match,
    search_r1_score,
    sequence_fault,
)
from toolwise.rewards.text import contains_match, exact_match, normalize_answer
from toolwise.testing.vectors.comparison import Check, check, difference, read_lines

TOLERANCE = 1e-9
POINTS: Mapping[str, SearchR1Points] = {
    "format_zero": SearchR1Points(),
    "v0.3": SearchR1Points(structure=0.2, final=0.1),
    "v0.3_retrieval": SearchR1Points(structure=0.2, final=0.1, retrieval=0.1),
}


def _golds(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _em(row: Mapping[str, Any]) -> dict[str, float]:
    golds = _golds(row["golden"])
    return {
        "em": float(exact_match(row["prediction"], golds)),
        "subem": float(contains_match(row["prediction"], golds)),
    }


def _valid(row: Mapping[str, Any]) -> dict[str, Any]:
    fault = sequence_fault(row["solution_str"])
    return {"valid": not fault, "message": fault or "Valid sequence format"}


def _score(row: Mapping[str, Any]) -> dict[str, float]:
    text, golds = row["solution_str"], _golds(row["ground_truth"]["target"])
    return {name: search_r1_score(text, golds, points) for name, points in POINTS.items()} | {
        "v0.1_v0.2_em": search_r1_match(text, golds),
        "em_with_format_score_0.1": search_r1_match(text, golds, wrong=0.1),
        "subem": search_r1_match(text, golds, substring=True),
    }


KINDS: Mapping[str, tuple[Callable[[Mapping[str, Any]], Any], tuple[str, ...]]] = {
    "normalize": (lambda row: normalize_answer(row["input"]), ("expected",)),
    "em": (_em, ("em", "subem")),
    "extract": (lambda row: extract_answer(row["solution_str"]), ("expected",)),
    "valid_sequence": (_valid, ("valid", "message")),
    "retrieval": (lambda row: retrieved_gold(row["text"], _golds(row["golden"])), ("expected",)),
    "score": (_score, ("expected",)),
}
"""What computes a kind, and the fields that hold what is expected."""


def _case(row: Mapping[str, Any], kind: str) -> str:
    compute, fields = KINDS[kind]
    expected = row["expected"] if fields == ("expected",) else {field: row[field] for field in fields}
    return difference(compute(row), expected, TOLERANCE)


def checks(path: Path) -> Iterator[Check]:
    """Compare ``searchr1_vectors.jsonl``."""
    for row in read_lines(path):
        kind = str(row.get("kind"))
        if kind in KINDS:
            yield check(row["id"], _case, row, kind)
        else:
            yield Check(str(row.get("id")), f"kind {kind!r} is not known")
