"""``toolwise data minprompt``: its stages, all of them at once, and training on what they made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from toolwise.data.minprompt import StageReport

app = typer.Typer(
    no_args_is_help=True,
    help="The few sentences that cover a text's facts, as questions to train on (MinPrompt).\n\n"
    "Stages: texts, sentences, entities, graph, selected, questions, records; each reads what the one before "
    "wrote to --out. Begin with: toolwise data minprompt all FILE_OR_FOLDER --out DIR",
)
Source = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="A file or a folder: txt, JSONL, Parquet, SQuAD, MRQA.")
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Where the stages write and read.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one setting; kept in DIR/settings.yaml."),
]
Endpoint = Annotated[
    str | None,
    typer.Option(metavar="URL", help="An OpenAI-compatible server that writes the questions instead."),
]
EndpointModel = Annotated[str | None, typer.Option(metavar="NAME", help="Name of the model there.")]
Ray = Annotated[
    int | None,
    typer.Option("--ray", metavar="N", min=1, help="Read files and find entities on N workers of Ray Data."),
]
_OUT = Path("minprompt")
_ABOUT = {
    "sentences": "Sentences of the texts.",
    "graph": "Which sentences share an entity.",
    "selected": "The dominating set: every other sentence shares an entity with one of it.",
    "records": "The questions as prompts and targets.",
}


@app.command("texts", short_help="Read texts.")
def texts(source: Source, out: Out = _OUT, set_: Set = None, ray: Ray = None) -> None:
    """Read the paragraphs of files; what cannot be read is counted and named.

    Example: toolwise data minprompt texts articles --out minprompt
    """
    _run(("texts",), source, out, set_, ray=ray)


@app.command("entities", short_help="Entities of the sentences and their types.")
def entities(out: Out = _OUT, set_: Set = None, ray: Ray = None) -> None:
    """Find the entities of the sentences and their types.

    Example: toolwise data minprompt entities --out minprompt --ray 8
    """
    _run(("entities",), None, out, set_, ray=ray)


@app.command("questions", short_help="Ask about the entities of the selected sentences.")
def questions(
    out: Out = _OUT, endpoint: Endpoint = None, endpoint_model: EndpointModel = None, set_: Set = None
) -> None:
    """Make questions by grammar, by a model, or as clozes; unanswerable ones are left out.

    Example: toolwise data minprompt questions --out minprompt --set questions=cloze
    """
    _run(("questions",), None, out, set_, _asked(endpoint, endpoint_model))


def _stage(name: str) -> Callable[..., None]:
    def command(out: Out = _OUT, set_: Set = None) -> None:
        _run((name,), None, out, set_)

    command.__doc__ = f"{_ABOUT[name]}\n\nExample: toolwise data minprompt {name} --out minprompt"
    return command


for _name, _short in _ABOUT.items():
    app.command(_name, short_help=_short)(_stage(_name))


@app.command("all", short_help="All stages, and the page; with --train, a model too.")
def run_all(
    source: Source,
    out: Out = _OUT,
    endpoint: Endpoint = None,
    endpoint_model: EndpointModel = None,
    set_: Set = None,
    ray: Ray = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train on the source's questions and the records.")
    ] = False,
    recipe: Annotated[str, typer.Option(metavar="RECIPE", help="See: toolwise data minprompt train")] = (
        "minprompt"
    ),
    train_set: Annotated[
        list[str] | None,
        typer.Option("--train-set", metavar="KEY=VALUE", help="Set one key of the training recipe."),
    ] = None,
) -> None:
    """From texts to training records; the same command goes on after a stop, and does nothing twice.

    Example: toolwise data minprompt all train.json --out minprompt --set mode=cover --train
    """
    from toolwise.data.minprompt import STAGES

    _run(STAGES, source, out, set_, _asked(endpoint, endpoint_model), page=not train, ray=ray)
    if train:
        train_model(source, out, recipe, train_set)


@app.command("train", short_help="Train on few questions beside the records.")
def train_model(
    source: Source,
    out: Out = _OUT,
    recipe: Annotated[
        str, typer.Option(metavar="RECIPE", help="A .yaml file, or the packaged minprompt.")
    ] = "minprompt",
    set_: Set = None,
    model: Annotated[
        str | None, typer.Option(metavar="DIR_OR_HUB_ID", help="Instead of a tiny model from scratch.")
    ] = None,
) -> None:
    """Few-shot training with L = L_ori + λ·L_aug, for each number of shots and each seed; F1 and EM.

    Example: toolwise data minprompt train dev.json --out minprompt --set shots=[128] --set seeds=[42]
    """
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.systems.minprompt import train, write_page

    say = plain_lines(Console())
    values: dict[str, Any] = {} if model is None else {"model.init": None, "model.source": model}
    for row in train(source, out, recipe, set_ or (), values, say):
        f1, exact = (f"{100 * row[name]:.1f} ± {100 * row[f'{name}_sd']:.1f}" for name in ("f1", "em"))
        say(f"{row['shots']} shots, {row['seeds']} seeds: F1 {f1}, EM {exact}")
    say(f"page: {write_page(out)}")


def _asked(endpoint: str | None, model: str | None) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if endpoint is not None:
        values |= {"endpoint.base_url": endpoint, "questions": "llm"}
    if model is not None:
        values["endpoint.model"] = model
    return values


def _run(
    stages: tuple[str, ...],
    source: Path | None,
    out: Path,
    set_: list[str] | None,
    values: dict[str, Any] | None = None,
    page: bool = True,
    ray: int | None = None,
) -> None:
    from rich.console import Console

    from toolwise.cli.painting import plain_lines
    from toolwise.systems.minprompt import folder_settings, run_stage, write_page

    say = plain_lines(Console())
    settings = folder_settings(out, set_ or (), values)
    for name in stages:
        _tell(run_stage(name, source, out, settings, ray), say)
    if page:
        say(f"page: {write_page(out)}")


def _tell(report: StageReport, say: Callable[[str], None]) -> None:
    say(f"{report.stage}: {report.read} in, {report.kept} out")
    for place, how in report.figures.get("notes", {}).items():
        say(f"    {place}: {how}")
    for reason, count in sorted(report.left.items(), key=lambda one: -one[1]):
        say(f"    {count} left out: {reason}")
