"""``toolwise data dast`` and ``toolwise train dast``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from toolwise.cli import options
from toolwise.core import ToolwiseError

if TYPE_CHECKING:
    from toolwise.data.dast import DastPlan, DastReport

JudgeOption = Annotated[
    Literal["exact_match", "f1", "numeric"] | None,
    typer.Option(help="What tells that an answer is right. Default: the reward of --config."),
]
Temperature = Annotated[float, typer.Option(min=0, help="Of sampling.")]
Samples = Annotated[int, typer.Option(min=2, help="K, drawn to tell how hard a question is.")]
Targets = Annotated[
    str, typer.Option(metavar="E,M,H,U", help="Right answers wanted of an easy … unsolved question.")
]
Budgets = Annotated[str, typer.Option(metavar="E,M,H,U", help="Most samples drawn for them.")]
Bounds = Annotated[
    str, typer.Option(metavar="A,B", help="Hard: below A of the samples right; easy: above B.")
]
Proportion = Annotated[
    bool, typer.Option(help="DAST-P: targets by level. Without: as many for all, of the same number in all.")
]
Length = Annotated[
    bool, typer.Option(help="DAST-L: exemplars of the question's level before it. Without: none.")
]
Shots = Annotated[int, typer.Option(min=1, help="Exemplars before a question.")]


def dast(
    model: options.Model = None,
    endpoint: options.Endpoint = None,
    endpoint_model: options.EndpointModel = None,
    api_key_env: options.ApiKeyEnv = None,
    tasks: options.Tasks = None,
    format: options.TaskFormat = None,
    config: options.Config = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where all files go.")] = Path("dast"),
    judge: JudgeOption = None,
    temperature: Temperature = 0.8,
    samples: Samples = 16,
    targets: Targets = "4,4,8,8",
    budgets: Budgets = "16,32,64,64",
    bounds: Bounds = "0.4,0.7",
    proportion: Proportion = True,
    length: Length = True,
    shots: Shots = 8,
    limit: options.Limit = None,
    seed: options.Seed = None,
    set_: options.Set = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write .parquet instead of .jsonl.")] = False,
) -> None:
    """Make the data of one round of DAST: how hard each question is, and more answers to harder ones.

    Writes demonstrations (right answers, for SFT) and preferences (right and wrong ones, for DPO). Run the
    same command again to go on after a stop.

    Example: toolwise data dast --model Qwen/Qwen3-0.6B --tasks train.jsonl --format gsm8k --out dast
    """
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.data.stage import Suffix
    from toolwise.systems.dast import dast_data

    given = options.Given(
        model, tasks, format, None, limit, seed, set_, endpoint, endpoint_model, api_key_env
    )
    recipe = options.model_recipe(config, given)
    name = options.policy_name(recipe, given, None)
    plan = _plan(samples, targets, budgets, bounds, proportion, length, shots, recipe.training.seed)
    console = Console()
    suffix: Suffix = ".parquet" if parquet else ".jsonl"
    found = dast_data(
        recipe,
        plan,
        out,
        given.model or name,
        judge=judge,
        temperature=temperature,
        suffix=suffix,
        say=plain_lines(console),
    )
    _show(console, found)
    say = plain_lines(console)
    say(f"next: toolwise train sft dast-sft --model DIR --tasks {out / f'demonstrations{suffix}'}")
    say(f"  or: toolwise train dpo dast-dpo --model DIR --tasks {out / f'preferences{suffix}'}")


def train_dast(
    model: options.Model = None,
    tasks: options.Tasks = None,
    format: options.TaskFormat = None,
    config: options.Config = None,
    by: Annotated[Literal["sft", "dpo"], typer.Option(help="DAST-S or DAST-D.")] = "sft",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of sampling and training.")] = 3,
    recipe: Annotated[
        str | None, typer.Option(metavar="RECIPE", help="Of the training. Default: dast-sft or dast-dpo.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the rounds go.")] = Path("runs/dast"),
    judge: JudgeOption = None,
    temperature: Temperature = 0.8,
    samples: Samples = 16,
    targets: Targets = "4,4,8,8",
    budgets: Budgets = "16,32,64,64",
    bounds: Bounds = "0.4,0.7",
    proportion: Proportion = True,
    length: Length = True,
    shots: Shots = 8,
    limit: options.Limit = None,
    seed: options.Seed = None,
    sample_set: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Set one key of --config, for sampling; may be repeated."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Set one key of --recipe, for training; may be repeated."
        ),
    ] = None,
) -> None:
    """DAST: sample with the newest model, train the first one anew on what was found; round after round.

    Run the same command again to go on after a stop.

    Example: toolwise train dast --model runs/cold --tasks train.jsonl --judge numeric --by dpo
    """
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.systems.dast import Round, dast_rounds

    given = options.Given(model, tasks, format, None, limit, seed, sample_set)
    sampling = options.model_recipe(config, given)
    plan = _plan(samples, targets, budgets, bounds, proportion, length, shots, sampling.training.seed)
    console = Console()
    say = plain_lines(console)

    def finished(one: Round) -> None:
        _show(console, one.data)
        say(f"round {one.number}: {one.run}")

    done = dast_rounds(
        sampling,
        plan,
        out,
        by=by,
        rounds=rounds,
        recipe=recipe,
        overrides=set_ or (),
        judge=judge,
        temperature=temperature,
        say=say,
        finished=finished,
    )
    say(f"next: toolwise evaluate --model {done[-1].run} --tasks FILE")


def _plan(
    samples: int,
    targets: str,
    budgets: str,
    bounds: str,
    proportion: bool,
    length: bool,
    shots: int,
    seed: int,
) -> DastPlan:
    from pydantic import ValidationError

    from toolwise.data.dast import LEVELS, DastPlan, LevelThresholds

    try:
        wanted, most = ([int(part) for part in text.split(",")] for text in (targets, budgets))
        hard, easy = (float(part) for part in bounds.split(","))
        return DastPlan(
            samples=samples,
            thresholds=LevelThresholds(hard_below=hard, easy_above=easy),
            targets=dict(zip(LEVELS, wanted, strict=True)),
            budgets=dict(zip(LEVELS, most, strict=True)),
            proportion=proportion,
            length=length,
            shots=shots,
            seed=seed,
        )
    except ValidationError as error:
        raise ToolwiseError(
            str(error.errors()[0]["msg"]), where="--targets, --budgets, --bounds", mend="see --help"
        ) from error
    except ValueError as error:
        raise ToolwiseError(
            f"cannot be read: {error}",
            where="--targets, --budgets, --bounds",
            mend="give four whole numbers, as 4,4,8,8, and two bounds, as 0.4,0.7",
        ) from error


def _show(console: object, found: DastReport) -> None:
    from rich.console import Console
    from rich.table import Table

    assert isinstance(console, Console)
    table = Table("level", "questions", "share", "solved", "answers", "share", "words", "samples", "pairs")
    for level, counts in found.levels.items():
        table.add_row(
            str(level),
            str(counts.queries),
            f"{counts.query_share:.1%}",
            str(counts.solved),
            str(counts.answers),
            f"{counts.answer_share:.1%}",
            f"{counts.mean_words:.1f}",
            str(counts.spent),
            str(counts.pairs),
        )
    console.print(table)
    for stage in found.stages:
        for reason, count in stage.dropped.items():
            console.print(f"{stage.name}: dropped {count}: {reason}")
    if found.without_wrong:
        console.print(f"{found.without_wrong} questions have no wrong answer and give no pair")
