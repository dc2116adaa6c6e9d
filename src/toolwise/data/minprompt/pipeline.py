"""MinPrompt from a folder of text to training records (arXiv 2310.05007): seven stages, a file each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from toolwise.core import ToolwiseError
from toolwise.data.minprompt.entities import Entity, build_finder
from toolwise.data.minprompt.graph import SentenceGraph
from toolwise.data.minprompt.prompts import prompt_source, prompt_target
from toolwise.data.minprompt.questions import (
    Refused,
    ask_writer,
    check_answerable,
    check_reader,
    gathered,
    make_question,
)
from toolwise.data.minprompt.selection import degrees, select
from toolwise.data.minprompt.sentences import split_sentences, words
from toolwise.data.minprompt.settings import MinPromptSettings
from toolwise.data.minprompt.sources import Text, read_texts, source_files
from toolwise.data.minprompt.stage import (
    Left,
    Row,
    StageReport,
    digest,
    file_key,
    finished,
    read_stage,
    run_chunks,
    write_stage,
)

STAGES = ("texts", "sentences", "entities", "graph", "selected", "questions", "records")
"""The stages in order; stage n writes ``n-NAME.parquet``."""


def stage_path(out: Path, stage: str) -> Path:
    """The file that a stage writes."""
    return out / f"{STAGES.index(stage) + 1}-{stage}.parquet"


def read_stage_texts(source: Path, out: Path, settings: MinPromptSettings) -> StageReport:
    """Stage 1: the paragraphs of the files of a folder, or of one file; errors as in `source_files`."""
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
    for file in files:
        name = file.name if source.is_file() else str(file.relative_to(source))
        for item in read_texts(file, name):
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


def entity_stage(
    out: Path, settings: MinPromptSettings, run: Callable[..., Any] = map, chunk: int = 2000
) -> StageReport:
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


def graph_stage(out: Path, settings: MinPromptSettings) -> StageReport:
    """Stage 4: the sentences of each entity; that is the graph, whose edges are written nowhere."""
    import pyarrow as pa

    settings = settings.settled()
    before, path = stage_path(out, "entities"), stage_path(out, "graph")
    table, _ = read_stage(before)
    key = digest("graph", file_key(before), settings.hub_limit, settings.hub_share)
    if (done := finished(path, key)) is not None:
        return done
    pairs: dict[tuple[str, str], list[int]] = {}
    columns = (table.column("entities").to_pylist(), table.column("labels").to_pylist())
    for number, (names, labels) in enumerate(zip(*columns, strict=True)):
        for entity in dict.fromkeys(zip(names, labels, strict=True)):
            pairs.setdefault(entity, []).append(number)
    counts = {entity: len(places) for entity, places in pairs.items()}
    limit = settings.hub_limit or len(table) + 1
    hubs = [entity for entity, count in counts.items() if count >= max(2, settings.hub_share * len(table))]
    hubs.sort(key=lambda entity: -counts[entity])
    report = StageReport("graph", table.num_rows, len(pairs))
    graph = graph_of(len(table), list(pairs.values()))
    limited = graph.without_hubs(limit) if settings.hub_limit else graph
    found = degrees(limited)
    cut = [entity for entity, count in counts.items() if count > limit]
    report.leave(
        Left("entity that connects nothing: over the hub limit", f"{e[0]} ({e[1]})", str(counts[e]))
        for e in cut
    )
    bins = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 2**31]
    histogram = np.histogram(found, bins=bins)[0].tolist() if len(found) else []
    report.figures = {
        "sentences": len(table),
        "entities": len(pairs),
        "edges": int(found.astype(np.int64).sum() // 2),
        "edges counted once for each shared entity": limited.listed_edges,
        "isolated": int((found == 0).sum()),
        "largest degree": int(found.max(initial=0)),
        "hubs": [f"{name} ({label}): {counts[name, label]}" for name, label in hubs[:50]],
        "degrees": [
            [low, high - 1, count]
            for low, high, count in zip(bins, bins[1:], histogram, strict=False)
            if count
        ],
    }
    schema = pa.schema(
        [
            ("entity", pa.string()),
            ("label", pa.string()),
            ("hub", pa.bool_()),
            ("sentences", pa.list_(pa.int32())),
        ]
    )
    rows = [
        {"entity": name, "label": label, "hub": counts[name, label] > limit, "sentences": places}
        for (name, label), places in pairs.items()
    ]
    write_stage(path, pa.Table.from_pylist(rows, schema=schema), key, report)
    return report


def graph_of(sentences: int, places: Sequence[Sequence[int]]) -> SentenceGraph:
    """The graph from the sentences of each entity."""
    lengths = np.fromiter((len(one) for one in places), np.int64, len(places))
    flat = np.fromiter((place for one in places for place in one), np.int64, int(lengths.sum()))
    return SentenceGraph.from_pairs(
        flat, np.repeat(np.arange(len(places)), lengths), (sentences, len(places))
    )


def select_stage(out: Path, settings: MinPromptSettings) -> StageReport:
    """Stage 5: the dominating set, in the order of picking."""
    import pyarrow as pa
    import pyarrow.compute as pc

    settings = settings.settled()
    before, rows_of, path = stage_path(out, "graph"), stage_path(out, "entities"), stage_path(out, "selected")
    key = digest("selected", file_key(before), settings.mode, settings.isolated)
    if (done := finished(path, key)) is not None:
        return done
    table, _ = read_stage(before)
    sentences, _ = read_stage(rows_of)
    places = table.filter(pc.invert(table.column("hub"))).column("sentences").to_pylist()
    graph = graph_of(len(sentences), places)
    selection = select(graph, settings.mode, isolated=settings.isolated)
    report = StageReport("selected", len(sentences), len(selection.sentences))
    covered = set(selection.sentences.tolist())
    every = table.column("sentences").to_pylist()
    named = sum(1 for one in every if covered.intersection(one))
    report.left = {"sentence that a selected one covers": len(sentences) - len(selection.sentences)}
    if settings.isolated == "drop" and selection.isolated:
        report.left = {
            "sentence that a selected one covers": len(sentences)
            - len(selection.sentences)
            - selection.isolated,
            "sentence without a neighbour": selection.isolated,
        }
    report.figures = {
        "mode": settings.mode,
        "isolated": selection.isolated,
        "no set is smaller than": selection.at_least,
        "at most so many times the smallest set": round(selection.bound, 3)
        if np.isfinite(selection.bound)
        else None,
        "entities": len(every),
        "entities that a selected sentence names": named,
    }
    picked = sentences.take(pa.array(selection.sentences))
    picked = picked.append_column("gain", pa.array(selection.gains))
    write_stage(path, picked, key, report)
    return report


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


def run_pipeline(
    source: Path, out: Path, settings: MinPromptSettings, model: Any = None
) -> list[StageReport]:
    """All stages; those whose input and settings are as the last time are read instead of done."""
    return [
        read_stage_texts(source, out, settings),
        sentence_stage(out, settings),
        entity_stage(out, settings),
        graph_stage(out, settings),
        select_stage(out, settings),
        question_stage(out, settings, model),
        record_stage(out, settings),
    ]


def _SENTENCES() -> Any:  # noqa: N802 - a schema, made where pyarrow is loaded
    import pyarrow as pa

    return pa.schema(
        [("id", pa.string()), ("text_id", pa.string()), ("start", pa.int64()), ("sentence", pa.string())]
    )


def _reasons(report: StageReport) -> str:
    return "; ".join(f"{count} x {reason}" for reason, count in report.left.items()) or "nothing was read"
