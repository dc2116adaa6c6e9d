"""``toolwise data nile``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from toolwise.cli import options

_MODEL = "URL#MODEL of an endpoint, a .yaml file with its keys, or MODULE:NAME."


def nile(
    rows: Annotated[Path, typer.Argument(metavar="FILE", help="Instruction data: .jsonl, .parquet, .json.")],
    reviser: Annotated[str, typer.Option(metavar="MODEL", help=f"The strong model: {_MODEL}")],
    model: options.Model = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help=f"Instead of --model, as a chat model: {_MODEL}"),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where all files go.")] = Path("nile"),
    score: Annotated[
        Literal["embedding", "likelihood", "words"],
        typer.Option(
            help="What tells consistency: cosine of sentence embeddings (needs --encoder), gain in "
            "likelihood (needs --model), cosine of word counts."
        ),
    ] = "words",
    encoder: Annotated[
        str | None, typer.Option(metavar="DIR_OR_HUB_ID", help="A sentence encoder, for --score embedding.")
    ] = None,
    revision: Annotated[
        Literal["ksr", "sr", "none"],
        typer.Option(help="ksr: revise with the model's own knowledge; sr: without; none: keep the answers."),
    ] = "ksr",
    shots: Annotated[
        int, typer.Option(min=1, help="Demonstrations of knowledge that the model is shown.")
    ] = 2,
    demonstrations: Annotated[int, typer.Option(min=2, help="Demonstrations to choose from.")] = 32,
    retrieval: Annotated[Literal["bm25", "fixed"], typer.Option(help="How they are chosen.")] = "bm25",
    drop_lowest: Annotated[
        float,
        typer.Option(min=0, help="Share of the answers that agree least, and go (low: 0.1, high: 0.3)."),
    ] = 0.1,
    drop_highest: Annotated[float, typer.Option(min=0, help="Share of those that agree most, and go.")] = 0.0,
    limit: options.Limit = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides on the demonstrations.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Rows that are worked on at once.")] = 8,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write .parquet instead of .jsonl.")] = False,
) -> None:
    """Make NILE's data: answers rewritten around what a model knows, the inconsistent ones dropped.

    Each stage writes its rows, what it dropped and why. Run the same command again to go on after a stop.

    Example: toolwise data nile alpaca.json --model Qwen/Qwen3-0.6B-Base --reviser
    http://127.0.0.1:8000/v1#large --score likelihood --out nile
    """
    import asyncio

    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.data.nile import NileConfig, NileModels, instruction_rows, run_nile
    from toolwise.data.nile.filtering import filter_consistent
    from toolwise.data.stage import Suffix
    from toolwise.systems.chat_targets import chat_model
    from toolwise.systems.nile import base_of, score_of

    filter_consistent([], drop_lowest, drop_highest)  # refused before anybody is asked
    given, left_out = instruction_rows(rows, limit)
    cache = out / "chat-cache.sqlite"
    strong = chat_model(reviser, cache)
    complete, local, name = base_of(model, base, cache)
    names = {"strong": reviser, "base": name, "reviser": reviser, "score": f"{score} {encoder or ''}".strip()}
    config = NileConfig(
        demonstrations=demonstrations,
        shots=shots,
        retrieval=retrieval,
        revision=revision,
        drop_lowest=drop_lowest,
        drop_highest=drop_highest,
        seed=seed,
    )
    models = NileModels(strong, complete, strong, score_of(score, local, encoder), names)
    suffix: Suffix = ".parquet" if parquet else ".jsonl"
    found = asyncio.run(run_nile(given, models, config, out, suffix=suffix, concurrency=concurrency))
    say = plain_lines(Console())
    for reason, count in left_out.items():
        say(f"{rows}: {count} rows left out: {reason}")
    for stage in found.stages:
        say(f"{stage.name}: {stage.read} in, {stage.kept} out")
        for reason, count in stage.dropped.items():
            say(f"    dropped {count}: {reason}")
    before, after = found.consistency
    say(f"consistency ({score}): {before:.4f} on average before the filter, {after:.4f} after it")
    say(f"next: toolwise train sft nile --model DIR --tasks {out / f'demonstrations{suffix}'}")
