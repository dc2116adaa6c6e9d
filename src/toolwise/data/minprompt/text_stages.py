"""The first stages of MinPrompt: texts, their sentences, and the entities of these."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.data.minprompt.entities import build_finder
from toolwise.data.minprompt.sentences import split_sentences, words
from toolwise.data.minprompt.settings import MinPromptSettings
from toolwise.data.minprompt.sources import Text, read_texts, source_files
from toolwise.data.minprompt.spread import Run
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


def read_stage_texts(source: Path, out: Path, settings: MinPromptSettings, run: Run = map) -> StageReport:
    """Stage 1: the paragraphs of the files of a folder, or of one file; errors as in `source_files`.

    Args:
        source: A file or a folder.
        out: The folder.
        settings: Of the run.
        run: How files are read, see `stage.run_chunks`; a chunk is a file.
    """
    import pyarrow as pa

    settings = settings.settled()
    files = source_files(source)
    path = stage_path(out, "texts")
    seen = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = digest("texts", seen, settings.duplicates)
    if (done := finished(path, key)) is not None:
        return done
    report = StageReport("texts", figures={"files": len(files), "characters": 0, "notes": {}})
    first: dict[str, str] = {}
    rows: list[Row] = []
    names = [file.name if source.is_file() else str(file.relative_to(source)) for file in files]
    jobs = ([{"path": str(file), "name": name}] for file, name in zip(files, names, strict=True))
    for texts, left, _ in run(_read_files, jobs):
        for item in (*left, *(Text(**text) for text in texts)):
            if isinstance(item, Left) and item.reason.startswith("("):
                report.figures["notes"][item.id] = f"read as {item.detail}"
                continue
            report.read += 1
            if isinstance(item, Text) and settings.duplicates == "drop" and item.text in first:
                item = Left("text that stands twice", item.id, f"as {first[item.text]}")
            if isinstance(item, Left):
                report.leave([item])
                continue
            first.setdefault(item.text, item.id)
            report.figures["characters"] += len(item.text)
            # Lone surrogates from JSON cannot be written.
            clean = item.text.encode("utf-8", "replace").decode("utf-8")
            rows.append({"id": item.id, "text": clean, "source": item.source})
    if not rows:
        raise ToolwiseError(
            f"there is no text: {_reasons(report)}", where=str(source), mend="give files with text in them"
        )
    report.kept = len(rows)
    schema = pa.schema([(name, pa.string()) for name in ("id", "text", "source")])
    write_stage(path, pa.Table.from_pylist(rows, schema=schema), key, report)
    return report


def _read_files(rows: list[Row]) -> tuple[list[Row], list[Left], dict[str, int]]:
    texts: list[Row] = []
    left: list[Left] = []
    for row in rows:
        for item in read_texts(Path(row["path"]), row["name"]):
            if isinstance(item, Left):
                left.append(item)
            else:
                texts.append(asdict(item))
    return texts, left, {}


def sentence_stage(out: Path, settings: MinPromptSettings) -> StageReport:
    """Stage 2: the sentences of the texts and their places, without tiny, huge and double ones."""
    import pyarrow as pa

    settings = settings.settled()
    before, path = stage_path(out, "texts"), stage_path(out, "sentences")
    table, _ = read_stage(before)
    used = {
        name: getattr(settings, name)
        for name in ("splitter", "least_words", "longest_sentence", "duplicates")
    }
    key = digest("sentences", file_key(before), used)
    if (done := finished(path, key)) is not None:
        return done
    report = StageReport("sentences", table.num_rows)
    seen: dict[str, str] = {}
    rows: list[Row] = []
    for text in table.to_pylist():
        found = split_sentences(text["text"], settings.splitter)
        if not found:
            report.leave([Left("text without a sentence", text["id"])])
        for number, (start, sentence) in enumerate(found):
            identity = f"{text['id']}#{number}"
            why = None
            if words(sentence) < settings.least_words:
                why = Left(f"sentence of fewer than {settings.least_words} words", identity, sentence)
            elif len(sentence) > settings.longest_sentence:
                why = Left(
                    f"sentence of more than {settings.longest_sentence} characters", identity, sentence[:80]
                )
            elif settings.duplicates == "drop" and sentence in seen:
                why = Left("sentence that stands twice", identity, f"as {seen[sentence]}")
            if why is not None:
                report.leave([why])
                continue
            seen.setdefault(sentence, identity)
            rows.append({"id": identity, "text_id": text["id"], "start": start, "sentence": sentence})
    report.kept = len(rows)
    if not rows:
        raise ToolwiseError(
            f"there is no sentence: {_reasons(report)}",
            where=str(out),
            mend="lower least_words, or give more text",
        )
    write_stage(path, pa.Table.from_pylist(rows, schema=_SENTENCES()), key, report)
    return report


def entity_stage(out: Path, settings: MinPromptSettings, run: Run = map, chunk: int = 2000) -> StageReport:
    """Stage 3: the entities of the sentences and their types.

    Args:
        out: The folder.
        settings: Of the run.
        run: How chunks are worked on, see `stage.run_chunks`.
        chunk: Sentences of a chunk: what is done anew, at most, after a stop.
    """
    import pyarrow as pa

    settings = settings.settled()
    before = stage_path(out, "sentences")
    table, _ = read_stage(before)
    key = digest("entities", file_key(before), settings.entities, settings.entity_model)
    ints = pa.list_(pa.int32())
    schema = pa.schema(
        [
            *_SENTENCES(),
            ("entities", pa.list_(pa.string())),
            ("labels", pa.list_(pa.string())),
            ("starts", ints),
        ]
    )
    work = partial(_find_entities, settings.entities, settings.entity_model)
    return run_chunks(stage_path(out, "entities"), "entities", key, table, work, schema, chunk=chunk, run=run)


_FINDERS: dict[tuple[Any, Any], Any] = {}


def _find_entities(name: Any, model: Any, rows: list[Row]) -> tuple[list[Row], list[Left], dict[str, int]]:
    if (name, model) not in _FINDERS:
        _FINDERS[name, model] = build_finder(name, model)
    found = _FINDERS[name, model]([row["sentence"] for row in rows])
    counts: Counter[str] = Counter()
    made = []
    for row, entities in zip(rows, found, strict=True):
        counts.update(f"label {entity.label}" for entity in entities)
        counts["mentions"] += len(entities)
        counts["sentences without an entity"] += not entities
        made.append(
            row
            | {
                "entities": [entity.text for entity in entities],
                "labels": [entity.label for entity in entities],
                "starts": [entity.start for entity in entities],
            }
        )
    return made, [], dict(counts)


def _SENTENCES() -> Any:  # noqa: N802 - a schema, made where pyarrow is loaded
    import pyarrow as pa

    return pa.schema(
        [("id", pa.string()), ("text_id", pa.string()), ("start", pa.int64()), ("sentence", pa.string())]
    )


def _reasons(report: StageReport) -> str:
    return "; ".join(f"{count} x {reason}" for reason, count in report.left.items()) or "nothing was read"
