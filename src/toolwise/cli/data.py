"""``toolwise data smart-er``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from toolwise.core import ToolwiseError


def smart_er(
    domain: Annotated[
        Literal["math", "time", "intention", "almanac"],
        typer.Option(help="math, time, intention: a published source. almanac: the synthetic world."),
    ] = "almanac",
    source: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="math: MATH- or GSM8K-style rows (.jsonl). time: FreshQA (.csv). intention: IN3 (.jsonl).",
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The auxiliary model: URL#MODEL of an endpoint, a .yaml file with its keys, or "
            "MODULE:NAME, a chat model or a function that gives one. The almanac needs none.",
        ),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What Search looks in; time and intention need it.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where all files go.")] = Path("smart-er"),
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most questions of the source, or of each kind of the almanac.")
    ] = None,
    variants: Annotated[
        int, typer.Option(min=0, help="time: new questions that are made of each fast-changing one.")
    ] = 2,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions that are worked on at once.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="almanac: decides which questions.")] = 0,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write .parquet instead of .jsonl.")] = False,
) -> None:
    """Make SMART's training data: chains of steps that say where knowledge ends and a tool is needed.

    Each question is broken into sub-goals; each is marked as within or beyond what the model knows, reached
    from knowledge or by a real tool call, and justified. A question whose goals are all alike is dropped.
    Each stage writes its rows (2-selected, 3-goals, …), what it dropped and why (NAME.dropped), and a sample
    for people to review (review/). Run the same command again to go on after a stop: nothing is asked twice.

    The last files are pairs (instruction, input, output; one for each stretch of a chain) and demonstrations
    (whole chains, for: toolwise train sft smart-sft --tasks DIR/demonstrations.jsonl), each also with
    [[indicators]] in front of the steps.

    Example without a model: toolwise data smart-er --domain almanac --out almanac-smart

    Example: toolwise data smart-er --domain math --source math.jsonl --teacher my_models:teacher
    """
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.data.stage import Suffix
    from toolwise.systems.smart_er import almanac_smart_er
    from toolwise.systems.smart_er import smart_er as run

    say = plain_lines(Console())
    suffix: Suffix = ".parquet" if parquet else ".jsonl"
    if domain == "almanac":
        for name, rows in almanac_smart_er(out, seed=seed, count=limit or 100, suffix=suffix).items():
            say(f"{out / name}: {rows} rows")
        return
    if source is None or teacher is None:
        missing = "--source" if source is None else "--teacher"
        raise ToolwiseError(f"the domain {domain} needs {missing}", mend="see: toolwise data smart-er --help")
    made = run(
        domain,
        source,
        out,
        teacher,
        corpus=corpus,
        limit=limit,
        variants=variants,
        suffix=suffix,
        concurrency=concurrency,
    )
    for reason, count in made.left_out.items():
        say(f"source: {count} rows left out: {reason}")
    for stage in made.stages:
        say(f"{stage.name}: {stage.read} in, {stage.kept} out")
        for reason, count in stage.dropped.items():
            say(f"    dropped {count}: {reason}")
    say(f"pairs and demonstrations: {made.folder}")
    say(f"next: toolwise train sft smart-sft --model DIR --tasks {made.folder / f'demonstrations{suffix}'}")
