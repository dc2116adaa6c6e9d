"""``toolwise data curate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolwise.core import ToolwiseError


def curate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Rows: .jsonl, .parquet, .json (a list).")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the splits and the card go.")] = Path(
        "curated"
    ),
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An evaluation set that must not be in the data; may be repeated."),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A field whose text counts; may be repeated. Default: the usual ones."
        ),
    ] = None,
    near: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Jaccard similarity from which rows are near duplicates; 0: not looked for."
        ),
    ] = 0.8,
    shingle: Annotated[int, typer.Option(min=1, help="Words of a shingle.")] = 3,
    ngram: Annotated[
        int, typer.Option(min=2, help="Words in a row that count as overlap with --against.")
    ] = 13,
    min_words: Annotated[int, typer.Option(min=1, help="Drop rows of fewer words.")] = 1,
    max_words: Annotated[int | None, typer.Option(min=1, help="Drop rows of more words.")] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE", help="Keep only this one (en …, or latin … without --languages); may be repeated."
        ),
    ] = None,
    languages: Annotated[
        bool,
        typer.Option("--languages", help="Tell languages by py3langid; otherwise only scripts are told."),
    ] = False,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD", help="Rows with one value of it stay in one split. Default: equal texts do."
        ),
    ] = None,
    shares: Annotated[str, typer.Option(metavar="A,B,C", help="Of train, dev and test.")] = "0.9,0.05,0.05",
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    title: Annotated[str | None, typer.Option(help="Of the card. Default: the name of --out.")] = None,
    license_: Annotated[
        str, typer.Option("--license", help="Of the curated set, for the card.")
    ] = "not stated",
    source: Annotated[
        list[str] | None, typer.Option(help="Origin and licence of a file, for the card; may be repeated.")
    ] = None,
    about: Annotated[str, typer.Option(help="What the set is for, for the card.")] = "",
    parquet: Annotated[bool, typer.Option("--parquet", help="Write .parquet instead of .jsonl.")] = False,
) -> None:
    """Remove duplicates and what stands in evaluation sets, split by group, and write the card.

    Writes train, dev and test with the records as they were, dropped.jsonl with every dropped row and why,
    report.json and the card (README.md). A hash decides on the split: rows that come later move no other row.

    Example: toolwise data curate a.jsonl b.parquet --against gsm8k_test.jsonl --group-by source --out curated
    """
    from pydantic import ValidationError
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.data.curation import CardText, CurationConfig, write_card
    from toolwise.data.curation import curate as run

    try:
        parts = [float(share) for share in shares.split(",")]
        config = CurationConfig(
            fields=tuple(field or ()),
            min_words=min_words,
            max_words=max_words,
            languages=tuple(language or ()),
            identify_language=languages,
            near_threshold=near or None,
            shingle=shingle,
            ngram=ngram,
            group_by=group_by,
            shares=parts,  # type: ignore[arg-type]
            seed=seed,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "options"
        raise ToolwiseError(
            str(first["msg"]), where=where, mend="see: toolwise data curate --help"
        ) from error
    except ValueError as error:
        raise ToolwiseError(
            f"is '{shares}'", where="--shares", mend="give three numbers, as 0.9,0.05,0.05"
        ) from error
    found = run(files, out, config, against=against or (), suffix=".parquet" if parquet else ".jsonl")
    text = CardText(title or out.resolve().name, license_, tuple(source or ()), about)
    write_card(out / "README.md", found, config, text)
    say = plain_lines(Console())
    for reason, count in found.dropped.items():
        if count:
            say(f"dropped {count}: {reason}")
    if found.evaluation_unchecked:
        say(f"{found.evaluation_unchecked} texts of the evaluation sets are too short to be looked for")
    say(f"{out}: {sum(found.read.values())} rows in, {found.kept} out")
    for name, count in found.splits.items():
        say(f"    {name}: {count} rows in {found.groups[name]} groups")
    say(f"card: {out / 'README.md'}")
