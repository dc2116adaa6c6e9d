"""``toolwise data boundary``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from toolwise.core import ToolwiseError


class Label(StrEnum):
    """Where a question lies."""

    KNOWN = "known"
    UNCERTAIN = "uncertain"
    UNKNOWN = "unknown"


def boundary(
    probed: Annotated[Path, typer.Argument(metavar="PROBED", help="What toolwise probe wrote.")],
    rows: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Filter these rows instead, such as demonstrations; they share their ids with the tasks.",
        ),
    ] = None,
    keep: Annotated[
        list[Label] | None,
        typer.Option(help="A label that stays; may be repeated. Default: unknown and uncertain."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="What stays, .jsonl or .parquet.")] = Path(
        "beyond.jsonl"
    ),
) -> None:
    """Drop what the model knows, keep what it does not.

    What is dropped stands in NAME.dropped.jsonl beside --out, with its label and the share of right answers.

    Labels come from: toolwise probe --model DIR --tasks questions.jsonl --short --out probed.jsonl

    Example: toolwise data boundary probed.jsonl --out beyond.jsonl
    """
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.core.records import read_rows, refuse_rows
    from toolwise.data import read_tasks
    from toolwise.data.boundary import keep_beyond_knowledge
    from toolwise.data.writing import write_records

    if out.resolve() in (probed.resolve(), rows and rows.resolve()):
        raise ToolwiseError("is what is read", where=str(out), mend="name another file with --out")
    records = None
    if rows is not None:
        found = list(read_rows(rows))
        refuse_rows(rows, [(row.number, row.problem) for row in found if row.problem], len(found))
        records = [row.record for row in found]
    labels = [one.value for one in keep or (Label.UNKNOWN, Label.UNCERTAIN)]
    filtered = keep_beyond_knowledge(read_tasks(probed), records, labels)
    write_records(out, [dict(row) for row in filtered.kept])
    lost = out.with_name(f"{out.stem}.dropped.jsonl")
    write_records(lost, [dict(row) for row in filtered.dropped])
    say = plain_lines(Console())
    say(", ".join(f"{count} {label}" for label, count in filtered.counts.items()))
    say(f"{out}: {len(filtered.kept)} rows; {lost}: {len(filtered.dropped)} rows")
