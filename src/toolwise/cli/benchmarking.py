"""``toolwise benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolwise.cli import options
from toolwise.core import ToolwiseError


def benchmark(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="bfcl, api-bank, gsm8k …; any other lists them.")
    ],
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder with the benchmark's files, under their names.")
    ],
    model: options.Model = None,
    endpoint: options.Endpoint = None,
    endpoint_model: options.EndpointModel = None,
    api_key_env: options.ApiKeyEnv = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE", help='Instead of a model: lines of {"id", "output"}.')
    ] = None,
    config: options.Config = None,
    corpus: options.Corpus = None,
    category: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only items of this one; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Items of each category.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Leave out items without a prediction.")] = False,
    underscore_names: Annotated[
        bool, typer.Option("--underscore-names", help="BFCL: dots in names are shown as underscores.")
    ] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Gets results.json and items/.")] = Path(
        "runs/benchmarks"
    ),
    policy: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name in the table. Default: that of the model or the file."),
    ] = None,
    seed: options.Seed = None,
    set_: options.Set = None,
) -> None:
    """Score a model, or outputs from a file, on a public benchmark, with 95% intervals.

    A model is a folder or an endpoint. BFCL's items with several user turns are among the categories
    (--category multi_turn_base …); their tools are run and come from the package bfcl-eval.

    Example: toolwise benchmark bfcl --data bfcl_v4 --predictions outputs.jsonl --category simple_python
    """
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.cli.progress import progress
    from toolwise.evaluation.benchmarks import measures_table
    from toolwise.systems.benchmark_outputs import read_predictions
    from toolwise.systems.benchmarking import (
        benchmark_items,
        run_benchmark,
        score_predictions,
    )
    from toolwise.systems.result_file import file_stem

    if sum(each is not None for each in (model, endpoint, predictions)) != 1:
        raise ToolwiseError(
            "give either a model or predictions",
            mend="add --model DIR, --endpoint URL or --predictions FILE",
        )
    chosen, tasks = benchmark_items(
        name, data, categories=category, limit=limit, underscore_names=underscore_names
    )
    console = Console()
    if predictions is not None:
        label = policy or file_stem(predictions.stem)
        run = score_predictions(chosen, tasks, read_predictions(predictions), out, label, partial=partial)
    else:
        given = options.Given(
            model, None, None, corpus, None, seed, set_, endpoint, endpoint_model, api_key_env
        )
        recipe = options.model_recipe(config, given)
        label = options.policy_name(recipe, given, policy)
        with progress(console, "benchmark") as report:
            run = run_benchmark(
                chosen,
                tasks,
                recipe,
                out,
                label,
                done=lambda finished, total: report(finished, total, {}),
                say=plain_lines(console),
            )
    console.print(measures_table({label: run.measures}, title=f"{name} ({len(run.items)} items)"))
    lines = [f"results: {run.results}", f"items: {run.verdicts}"]
    if run.predictions is not None:
        lines.append(f"predictions: {run.predictions}")
    plain_lines(console)("\n".join(lines))
