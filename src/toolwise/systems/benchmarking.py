"""Public benchmarks: items from their files, outputs from a model or a file, and the results on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolwise.core import Task, ToolwiseError
from toolwise.data import benchmarks as files
from toolwise.evaluation import benchmarks as scoring
from toolwise.evaluation.benchmarks import Benchmark, Measure, Output, ScoredItem
from toolwise.systems.benchmark_outputs import UnfinishedOutputs, prediction_record, write_lines
from toolwise.systems.result_file import file_stem, other_results, write_result, writing

if TYPE_CHECKING:
    from toolwise.systems.recipe import RLRecipe

_KEYS = ("benchmark", "policy")

BENCHMARKS: Mapping[str, tuple[Callable[[Path], list[Task]], Callable[[], Benchmark]]] = {
    "bfcl": (files.read_bfcl, scoring.bfcl_benchmark),
    "api-bank": (files.read_api_bank, scoring.api_bank_benchmark),
    "api-bank-toolrl": (files.read_api_bank_toolrl, scoring.api_bank_toolrl_benchmark),
    "metatool-awareness": (files.read_metatool_awareness, scoring.metatool_awareness_benchmark),
    "metatool-selection": (files.read_metatool_selection, scoring.metatool_selection_benchmark),
    "bamboogle": (files.read_bamboogle, lambda: scoring.short_answer_benchmark("bamboogle")),
    "nq-open": (files.read_nq_open, lambda: scoring.short_answer_benchmark("nq-open")),
    "multihop": (files.read_multihop, lambda: scoring.short_answer_benchmark("multihop")),
    "gsm8k": (files.read_gsm8k, lambda: scoring.mathematics_benchmark("gsm8k")),
    "math500": (files.read_math500, lambda: scoring.mathematics_benchmark("math500")),
}
"""For each benchmark what reads its items, and how they are scored."""


@dataclass(frozen=True, slots=True)
class BenchmarkRun:
    """What a benchmark found.

    Attributes:
        measures: The figures.
        items: Every item with its output and score.
        results: The file with the record.
        verdicts: The file with a line for each item.
        predictions: The file with the outputs of a model, in the format in which outputs are read; None if
            they came from a file.
    """

    measures: tuple[Measure, ...]
    items: tuple[ScoredItem, ...]
    results: Path
    verdicts: Path
    predictions: Path | None = None


def benchmark_items(
    name: str,
    folder: str | Path,
    *,
    categories: Sequence[str] | None = None,
    limit: int | None = None,
    underscore_names: bool = False,
) -> tuple[Benchmark, list[Task]]:
    """A benchmark and its items: what to show to a model (``prompt``, ``tools``) and how to score it.

    Args:
        name: One of `BENCHMARKS`.
        folder: Holds its files under their published names.
        categories: Take only items of these; None for all, but of BFCL the single-turn ones.
        limit: Take only so many items of each category.
        underscore_names: BFCL: show dots in the names of functions as underscores, and expect them so.

    Raises:
        ToolwiseError: The name or a category is not known, or the files cannot be used.
    """
    if name not in BENCHMARKS:
        raise ToolwiseError(f"the benchmark '{name}' is not known", mend=f"known are {', '.join(BENCHMARKS)}")
    if underscore_names and name != "bfcl":
        raise ToolwiseError("underscores for dots are a matter of bfcl only", mend="leave the option out")
    read, make = BENCHMARKS[name]
    if name == "bfcl":
        benchmark = scoring.bfcl_benchmark(underscore_names)
        tasks = files.read_bfcl(folder, categories or None, underscore_names)
    else:
        benchmark, tasks = make(), read(Path(folder))
        if categories:
            tasks = _of_categories(tasks, categories, name)
    return benchmark, _limited(tasks, limit)


def score_predictions(
    benchmark: Benchmark,
    tasks: Sequence[Task],
    outputs: Mapping[str, Output],
    out: Path,
    policy: str,
    *,
    partial: bool = False,
) -> BenchmarkRun:
    """Score outputs and write ``results.json`` and ``items/BENCHMARK-POLICY.jsonl``.

    A record of the same benchmark and policy in ``results.json`` is replaced, others stay.

    Args:
        benchmark: Which one.
        tasks: Its items.
        outputs: By id.
        out: The folder to write to.
        policy: Name of the model in the results.
        partial: Leave out items without an output.

    Raises:
        ToolwiseError: Outputs and items do not belong together, or the folder cannot be written.
    """
    results, verdicts = out / "results.json", out / "items" / f"{_stem(benchmark, policy)}.jsonl"
    other_results(results, {"benchmark": benchmark.name, "policy": policy}, _KEYS)
    items = scoring.score_outputs(benchmark, tasks, outputs, partial=partial)
    measures = benchmark.measures(items)
    with writing(out):
        write_lines(verdicts, [scoring.item_record(item) for item in items])
        write_result(results, scoring.benchmark_record(benchmark.name, policy, measures), _KEYS)
    return BenchmarkRun(tuple(measures), tuple(items), results, verdicts)


def run_benchmark(
    benchmark: Benchmark,
    tasks: Sequence[Task],
    recipe: RLRecipe,
    out: Path,
    policy: str,
    *,
    done: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = print,
) -> BenchmarkRun:
    """Let a model write an output for each item, greedily, and score them.

    Besides what `score_predictions` writes, the outputs go to ``predictions/BENCHMARK-POLICY.jsonl``. The
    same call goes on with the outputs that it had when it was stopped.

    Args:
        benchmark: Which one.
        tasks: Its items.
        recipe: Model, dialect, tools and limits.
        out: The folder to write to.
        policy: Name of the model in the results.
        done: Hears of finished items.
        say: Hears what the user should know.

    Raises:
        ToolwiseError: The model cannot be used; or items with several user turns lack the package bfcl-eval.
    """
    from toolwise.systems.benchmark_playing import BenchmarkPlayer

    player = BenchmarkPlayer(benchmark, tasks, recipe, say)
    predictions = out / "predictions" / f"{_stem(benchmark, policy)}.jsonl"
    other_results(out / "results.json", {"benchmark": benchmark.name, "policy": policy}, _KEYS)
    # Whatever cannot be written is found out before the items are played, not after.
    with writing(out):
        unfinished = UnfinishedOutputs(predictions, player.fingerprint)
    if unfinished.found:
        say(f"{len(unfinished.found)} of {len(player.tasks)} outputs stand in {unfinished.path} already")
    outputs = player.play(unfinished.found, unfinished.add, done)
    with writing(out):
        write_lines(predictions, [prediction_record(task.id, outputs[task.id]) for task in player.tasks])
        unfinished.remove()
    run = score_predictions(benchmark, player.tasks, outputs, out, policy)
    return replace(run, predictions=predictions)


def _of_categories(tasks: Sequence[Task], categories: Sequence[str], name: str) -> list[Task]:
    known = list(dict.fromkeys(task.info.get("category", "") for task in tasks))
    for category in categories:
        if category not in known:
            listed = ", ".join(filter(None, known)) or "none"
            raise ToolwiseError(
                f"the category '{category}' is not known", where=name, mend=f"there are: {listed}"
            )
    return [task for task in tasks if task.info.get("category") in categories]


def _limited(tasks: Sequence[Task], limit: int | None) -> list[Task]:
    taken: dict[str, int] = {}
    kept = []
    for task in tasks:
        category = str(task.info.get("category", ""))
        taken[category] = taken.get(category, 0) + 1
        if limit is None or taken[category] <= limit:
            kept.append(task)
    return kept


def _stem(benchmark: Benchmark, policy: str) -> str:
    return f"{benchmark.name}-{file_stem(policy)}"
