"""MinPrompt as commands: settings of a folder, one stage or all, training, and the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from toolwise.core import ToolwiseError
from toolwise.data.minprompt import (
    STAGES,
    MinPromptSettings,
    StageReport,
    entity_stage,
    graph_stage,
    question_stage,
    ray_run,
    read_questions,
    read_report,
    read_stage,
    read_stage_texts,
    record_stage,
    select_stage,
    sentence_stage,
    stage_path,
)
from toolwise.systems.loading import parse_yaml, set_keys
from toolwise.systems.refusals import refusal

SETTINGS = "settings.yaml"


def folder_settings(
    out: Path, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None
) -> MinPromptSettings:
    """The settings of a folder, with what is set now; written there, so that the next stage finds them.

    Args:
        out: The folder.
        overrides: ``a.b=c``.
        values: By dotted key; applied first.

    Raises:
        ToolwiseError: A key or a value is wrong.
    """
    path = out / SETTINGS
    raw = parse_yaml(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else {}
    set_keys(raw, values or {}, overrides)
    try:
        settings = MinPromptSettings.model_validate(raw)
    except ValidationError as error:
        raise refusal(error, raw, MinPromptSettings, "minprompt settings") from error
    out.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    path.write_text(text, encoding="utf-8")
    return settings


def run_stage(
    name: str, source: Path | None, out: Path, settings: MinPromptSettings, ray: int | None = None
) -> StageReport:
    """One stage, by its name; errors are its own.

    Args:
        name: Of `STAGES`.
        source: Of the texts.
        out: The folder.
        settings: Of the run.
        ray: Files are read and entities found by so many workers of Ray Data; None: in this process.
    """
    run = map if ray is None else ray_run(ray)
    if name == "texts":
        if source is None:
            raise ToolwiseError("no source is given", where="minprompt texts", mend="give a file or a folder")
        return read_stage_texts(source, out, settings, run)
    if name == "questions":
        return question_stage(out, settings, _model(settings))
    stages: dict[str, Callable[[Path, MinPromptSettings], StageReport]] = {
        "sentences": sentence_stage,
        "entities": partial(entity_stage, run=run),
        "graph": graph_stage,
        "selected": select_stage,
        "records": record_stage,
    }
    return stages[name](out, settings)


def train(
    source: Path,
    out: Path,
    recipe: str = "minprompt",
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> list[dict[str, float]]:
    """Train on the source's questions beside the folder's records, for each number of shots and seed.

    Args:
        source: A SQuAD or MRQA file, or a folder with one.
        out: The folder of the stages; models go to ``training/``.
        recipe: See `load_few_shot`.
        overrides: ``a.b=c`` of the recipe.
        values: By dotted key; applied first.
        say: Hears of each run.

    Returns:
        Mean and deviation of F1 and EM, for each number of shots.

    Raises:
        ToolwiseError: The source has no questions, or the stages are not done.
    """
    from toolwise.systems.few_shot import run_few_shot, summary
    from toolwise.systems.few_shot_recipe import load_few_shot

    chosen = load_few_shot(recipe, overrides, values)
    table, _ = read_stage(stage_path(out, "records"))
    questions, left = read_questions(source)
    if left:
        say(f"{len(left)} entries of the source are no question: {left[0].reason} …")
    scores = run_few_shot(chosen, questions, table.to_pylist(), out / "training", say)
    rows = summary(scores)
    (out / "training" / "summary.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return rows


def write_page(out: Path) -> Path:
    """The page of a folder; what is not done yet is not on it."""
    from toolwise.reports.minprompt import PageContents, write_minprompt_page

    reports = [read_report(path) for name in STAGES if (path := stage_path(out, name)).is_file()]
    samples: list[dict[str, Any]] = []
    covered: list[tuple[str, int]] = []
    if (path := stage_path(out, "records")).is_file():
        samples = read_stage(path)[0].to_pylist()
    if stage_path(out, "graph").is_file() and stage_path(out, "selected").is_file():
        named = read_stage(stage_path(out, "selected"))[0]
        seen = {
            pair
            for names, labels in zip(
                named.column("entities").to_pylist(), named.column("labels").to_pylist(), strict=True
            )
            for pair in zip(names, labels, strict=True)
        }
        rows = read_stage(stage_path(out, "graph"))[0].to_pylist()
        covered = [
            (f"{row['entity']} ({row['label']})", len(row["sentences"]))
            for row in rows
            if (row["entity"], row["label"]) in seen
        ]
        covered.sort(key=lambda one: (-one[1], one[0]))
    scores = out / "training" / "summary.json"
    trained = json.loads(scores.read_text(encoding="utf-8")) if scores.is_file() else []
    settings = (out / SETTINGS).read_text(encoding="utf-8") if (out / SETTINGS).is_file() else ""
    contents = PageContents(
        out.name, [report.to_record() for report in reports], samples, covered, trained, settings
    )
    return write_minprompt_page(out / "report.html", contents)


def _model(settings: MinPromptSettings) -> Any:
    if settings.endpoint is None:
        return None
    from toolwise.sampling.chat_client import EndpointChat

    return EndpointChat(settings.endpoint)
