"""``toolwise data tinyllm``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolwise.core import ToolwiseError


def tinyllm(
    questions: Annotated[
        Path, typer.Argument(metavar="FILE", help="Multiple-choice questions: .jsonl, .parquet, .json.")
    ],
    teacher: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=MODEL",
            help="May be repeated. MODEL: URL#MODEL of an endpoint, a .yaml file with its keys, "
            "MODULE:NAME, or a .jsonl or .parquet file of rationales (id, rationale).",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where all files go.")] = Path("tinyllm"),
    examples: Annotated[int, typer.Option(min=0, help="Other questions that a teacher is shown first.")] = 2,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a rationale.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Decides which examples.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions that are asked at once.")] = 8,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write .parquet instead of .jsonl.")] = False,
) -> None:
    """Make TinyLLM's data: answers, and the rationales of several teachers, for one small student.

    A teacher is told the right answer and explains it. Run the same command again to go on after a stop.

    Example: toolwise data tinyllm obqa.jsonl --teacher t5=rationales.jsonl --teacher
    llama=http://127.0.0.1:8000/v1#llama --out tinyllm
    """
    import asyncio

    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.data.stage import Suffix
    from toolwise.data.tinyllm import Teacher, ask_teacher, from_file, prepare_distillation, read_choices
    from toolwise.systems.chat_targets import chat_model

    asked = read_choices(questions)
    teachers = []
    for named in teacher:
        name, equals, target = named.partition("=")
        if not equals or not target:
            raise ToolwiseError(f"is '{named}'", where="--teacher", mend="write NAME=MODEL")
        if target.endswith((".jsonl", ".parquet")):
            teachers.append(from_file(name, Path(target)))
        else:
            work = ask_teacher(
                chat_model(target, out / "chat-cache.sqlite"),
                asked,
                examples=examples,
                seed=seed,
                max_tokens=max_tokens,
            )
            settings = {"model": target, "examples": examples, "seed": seed, "max_tokens": max_tokens}
            teachers.append(Teacher(name, work, settings))
    suffix: Suffix = ".parquet" if parquet else ".jsonl"
    made = asyncio.run(prepare_distillation(asked, teachers, out, suffix=suffix, concurrency=concurrency))
    say = plain_lines(Console())
    for stage in made.stages:
        say(f"{stage.name}: {stage.read} in, {stage.kept} out")
        for reason, count in stage.dropped.items():
            say(f"    dropped {count}: {reason}")
    for part, count in made.parts.items():
        say(f"part {part}: {count} demonstrations")
    say(f"next: toolwise train sft tinyllm --model DIR --tasks {out / f'demonstrations{suffix}'}")
