"""BFCL, the Berkeley Function Calling Leaderboard (Patil et al. 2025), version 4: single and multiple turns.

Scores are those of its program; see `check_calls`. Items whose category holds ``irrelevance`` are right if
the model calls nothing, those of ``relevance`` if it calls something.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolwise.core import Task, ToolwiseError
from toolwise.evaluation.benchmarks.benchmark import (
    Benchmark,
    ItemScore,
    Measure,
    ScoredItem,
    accuracies,
    accuracy,
    mean_of_shares,
)
from toolwise.evaluation.benchmarks.bfcl_check import Language, check_calls
from toolwise.evaluation.benchmarks.bfcl_multi_turn import check_turns
from toolwise.evaluation.benchmarks.output import Output

LIVE = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")


def bfcl_benchmark(underscore_names: bool = False) -> Benchmark:
    """BFCL.

    Args:
        underscore_names: Dots in the names of functions were shown to the model as underscores, as endpoints
            need it that take no dots; the names of the calls are compared accordingly.
    """

    def score(task: Task, output: Output) -> ItemScore:
        return score_bfcl(task, output, underscore_names=underscore_names)

    return Benchmark("bfcl", score, bfcl_measures, tools="own")


def score_bfcl(task: Task, output: Output, *, underscore_names: bool = False) -> ItemScore:
    """Score one item.

    Args:
        task: As the reader of BFCL makes it: ``info`` holds ``category``, ``language`` and ``functions``.
        output: The calls of the first turn; for several user turns `Output.turns`.
        underscore_names: See `bfcl_benchmark`.

    Raises:
        ToolwiseError: The item cannot be used, or a package for several turns is missing.
    """
    category = str(task.info["category"])
    if category.startswith("multi_turn"):
        fault = check_turns(task, output)
        return ItemScore(fault is None, {}, *((fault.kind, fault.detail) if fault else ()))
    calls = output.readable_calls
    if "relevance" in category:
        wanted = "irrelevance" not in category
        fits = bool(calls) is wanted
        return ItemScore(fits, {}, "" if fits else "no_call" if wanted else "needless_call")
    if calls is None:
        return ItemScore(False, {}, "no_call", "the output cannot be read as calls")
    language: Language = task.info["language"]
    try:
        fault = check_calls(
            task.info["functions"],
            calls,
            task.answer,
            language=language,
            parallel="parallel" in category,
            underscore_names=underscore_names,
        )
    except ToolwiseError as error:
        raise ToolwiseError(error.problem, where=f"item '{task.id}'", mend=error.mend) from error
    return ItemScore(fault is None, {}, *((fault.kind, fault.detail) if fault else ()))


def bfcl_measures(items: Sequence[ScoredItem]) -> list[Measure]:
    """Accuracy of each category, and the means that the leaderboard shows, where all their parts are there.

    ``non-live``: mean of simple (itself the mean of the three languages), multiple, parallel and
    parallel_multiple. ``live``: over all items of the four live categories. ``multi-turn``: mean of its
    categories. ``irrelevance``: mean of the two. The leaderboard's overall figure needs its web-search and
    memory categories, too, and is not given.
    """
    groups: dict[str, list[ScoredItem]] = {}
    for item in items:
        groups.setdefault(item.category, []).append(item)
    found = accuracies(items)
    means = {
        "mean non-live": [
            *((1 / 12, f"simple_{language}") for language in ("python", "java", "javascript")),
            *((1 / 4, category) for category in ("multiple", "parallel", "parallel_multiple")),
        ],
        "mean multi-turn": [(1.0, f"multi_turn_{kind}") for kind in ("base", "miss_func", "miss_param")],
        "mean irrelevance": [(0.5, "irrelevance"), (0.5, "live_irrelevance")],
    }
    if "multi_turn_long_context" in groups:
        means["mean multi-turn"].append((1.0, "multi_turn_long_context"))
    for name, parts in means.items():
        if all(category in groups for _, category in parts):
            found.append(mean_of_shares(name, [(weight, groups[category]) for weight, category in parts]))
    if all(category in groups for category in LIVE):
        found.append(accuracy([item for category in LIVE for item in groups[category]], "mean live"))
    return found
