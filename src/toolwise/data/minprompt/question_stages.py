"""The last stages of MinPrompt: questions about the selected sentences, and the records of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.data.minprompt.entities import Entity
from toolwise.data.minprompt.prompts import prompt_source, prompt_target
from toolwise.data.minprompt.questions import (
    Refused,
    ask_writer,
    check_answerable,
    check_reader,
    gathered,
    make_question,
)
from toolwise.data.minprompt.settings import MinPromptSettings
from toolwise.data.minprompt.stage import (
    Left,
    Row,
    StageReport,
    digest,
    file_key,
    finished,
    read_stage,
    run_chunks,
    stage_path,
    write_stage,
)


def question_stage(out: Path, settings: MinPromptSettings, model: Any = None) -> StageReport:
    """Stage 6: questions about the entities of the selected sentences; what cannot be answered is left out.

    Args:
        out: The folder.
        settings: Of the run.
        model: A `ChatModel`, for ``questions: llm`` and ``check_reader``.

    Raises:
        ToolwiseError: There is no model and one is needed; no question came through.
    """
    import pyarrow as pa

    settings = settings.settled()
    before, texts_path = stage_path(out, "selected"), stage_path(out, "texts")
    table, _ = read_stage(before)
    texts, _ = read_stage(texts_path)
    if model is None and (settings.questions == "llm" or settings.check_reader):
        raise ToolwiseError(
            "there is no model to ask", where="minprompt questions", mend="add --endpoint URL"
        )
    names = ("questions", "fallback", "check_reader", "reader_f1", "context", "published")
    used = {name: getattr(settings, name) for name in names}
    asked = settings.endpoint.model if settings.endpoint is not None and model is not None else None
    key = digest("questions", file_key(before), used, asked)
    contexts = dict(zip(texts.column("id").to_pylist(), texts.column("text").to_pylist(), strict=True))
    work = partial(_ask, settings, contexts, model)
    strings = ("id", "text_id", "sentence", "question", "answer", "label", "route", "context")
    schema = pa.schema([(name, pa.string()) for name in strings])
    # Small chunks: what a model has written is kept even where its endpoint has no cache.
    chunk = 64 if model is not None else 2000
    return run_chunks(stage_path(out, "questions"), "questions", key, table, work, schema, chunk=chunk)


def _ask(
    settings: MinPromptSettings, contexts: Mapping[str, str], model: Any, rows: list[Row]
) -> tuple[list[Row], list[Left], dict[str, int]]:
    made: list[Row] = []
    left: list[Left] = []
    waiting: list[tuple[Row, Entity]] = []
    unnatural: Counter[str] = Counter()
    for row in rows:
        found = zip(row["entities"], row["labels"], row["starts"], strict=True)
        entities = [Entity(text, label, start) for text, label, start in found]
        if not entities:
            left.append(Left("selected sentence without an entity", row["id"], row["sentence"]))
        for entity in entities:
            base = {name: row[name] for name in ("id", "text_id", "sentence")} | {
                "answer": entity.text,
                "label": entity.label,
                "context": _window(
                    contexts[row["text_id"]], row["start"], len(row["sentence"]), settings.context
                ),
            }
            base["id"] = f"{row['id']}@{entity.start}"
            if settings.questions == "llm":
                waiting.append((base, entity))
                continue
            try:
                question, route, why = make_question(row["sentence"], entity, entities, settings)
                if not settings.published:
                    check_answerable(question, entity.text, base["context"])
                made.append(base | {"question": question, "route": route})
                if why:
                    unnatural[f"no natural question: {why}"] += 1
            except Refused as reason:
                left.append(Left(str(reason), base["id"], f"{entity.text} | {row['sentence']}"))
    if waiting:
        replies = gathered([ask_writer(model, base["sentence"], base["answer"]) for base, _ in waiting])
        for (base, entity), reply in zip(waiting, replies, strict=True):
            try:
                if isinstance(reply, Refused):
                    raise reply
                check_answerable(str(reply), entity.text, base["context"])
                made.append(base | {"question": str(reply), "route": "llm"})
            except Refused as reason:
                left.append(Left(str(reason), base["id"], f"{entity.text} | {base['sentence']}"))
    if settings.check_reader and made:
        checks = [
            check_reader(model, r["question"], r["answer"], r["context"], settings.reader_f1) for r in made
        ]
        kept = []
        for row, outcome in zip(made, gathered(checks), strict=True):
            if isinstance(outcome, Refused):
                left.append(Left(str(outcome), row["id"], f"{row['question']} {row['answer']}"))
            else:
                kept.append(row)
        made = kept
    counts = Counter(f"label {row['label']}" for row in made) + Counter(
        f"route {row['route']}" for row in made
    )
    counts.update(unnatural)
    counts["sentences with a question"] = len({row["id"].rpartition("@")[0] for row in made})
    return made, left, dict(counts)


def _window(text: str, start: int, length: int, most: int) -> str:
    """The text, or of a long one what stands around a sentence, cut at blanks."""
    if len(text) <= most:
        return text
    room = max(0, most - length) // 2
    begin, end = max(0, start - room), min(len(text), start + length + room)
    if begin:
        begin = min(start, text.find(" ", begin, start) + 1 or start)
    if end < len(text):
        end = max(start + length, text.rfind(" ", start + length, end))
    return text[begin:end]


def record_stage(out: Path, settings: MinPromptSettings) -> StageReport:
    """Stage 7: the questions as prompts and targets."""
    import pyarrow as pa

    settings = settings.settled()
    before, path = stage_path(out, "questions"), stage_path(out, "records")
    table, _ = read_stage(before)
    key = digest("records", file_key(before), settings.shape)
    if (done := finished(path, key)) is not None:
        return done
    seen: set[tuple[str, str, str]] = set()
    rows: list[Row] = []
    report = StageReport("records", table.num_rows)
    for row in table.to_pylist():
        same = (row["question"], row["answer"], row["context"])
        if same in seen and not settings.published:
            report.leave([Left("question that stands twice", row["id"], row["question"])])
            continue
        seen.add(same)
        made = {
            "source": prompt_source(row["question"], row["context"], settings.shape),
            "target": prompt_target(row["question"], row["answer"], settings.shape),
        }
        rows.append(row | made)
    report.kept = len(rows)
    strings = ("id", "question", "answer", "label", "route", "context", "source", "target")
    schema = pa.schema([(name, pa.string()) for name in strings])
    write_stage(path, pa.Table.from_pylist(rows, schema=schema), key, report)
    return report
