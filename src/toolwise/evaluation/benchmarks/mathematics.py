"""Mathematics (GSM8K, MATH-500): the final answer, compared as an expression by the package math-verify."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from toolwise.core import Task, ToolwiseError
from toolwise.evaluation.benchmarks.benchmark import Benchmark, ItemScore, Measure, ScoredItem, accuracies
from toolwise.evaluation.benchmarks.calls import THINK_END
from toolwise.evaluation.benchmarks.output import Output
from toolwise.evaluation.benchmarks.short_answers import call_measures
from toolwise.rewards import reference_answers

_SECONDS = 5


def mathematics_benchmark(name: str) -> Benchmark:
    """A set of problems, under its name."""
    return Benchmark(name, score_mathematics, _measures, tools="recipe")


def score_mathematics(task: Task, output: Output) -> ItemScore:
    r"""Right if the answer found in the output equals the reference.

    The answer is what stands in ``\boxed{}``, or else the last formula or number. What takes longer than
    some seconds to compare is wrong.

    Raises:
        ToolwiseError: math-verify is missing, or the reference cannot be read.
    """
    parse, verify = _math_verify()
    limit = _SECONDS if threading.current_thread() is threading.main_thread() else None
    golds = [_gold(reference, limit) for reference in reference_answers(task)]
    if not all(golds):
        raise ToolwiseError(
            f"the reference {task.answer!r} is no mathematics",
            where=f"item '{task.id}'",
            mend="get the file again",
        )
    found = parse(output.text.rpartition(THINK_END)[2], parsing_timeout=limit)
    if not found:
        return ItemScore(False, {}, "no_answer")
    right = any(verify(list(gold), found, timeout_seconds=limit) for gold in golds)
    return ItemScore(bool(right), {}, "" if right else "wrong_answer")


@lru_cache(maxsize=8192)
def _gold(reference: str, limit: int | None) -> tuple[Any, ...]:
    parse, _ = _math_verify()
    boxed = parse(f"\\boxed{{{reference}}}", parsing_timeout=limit)
    return tuple(boxed or parse(reference, parsing_timeout=limit))


def _math_verify() -> tuple[Any, Any]:
    try:
        from math_verify import parse, verify
    except ImportError as error:
        raise ToolwiseError(
            "answers in mathematics need the package math-verify", mend="pip install toolwise[math]"
        ) from error
    return parse, verify


def _measures(items: Sequence[ScoredItem]) -> list[Measure]:
    return [*accuracies(items), *call_measures(items)]
