"""The stages in the middle of MinPrompt: the graph of the sentences and its dominating set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from toolwise.data.minprompt.graph import SentenceGraph
from toolwise.data.minprompt.selection import degrees, select
from toolwise.data.minprompt.settings import MinPromptSettings
from toolwise.data.minprompt.stage import (
    Left,
    StageReport,
    digest,
    file_key,
    finished,
    read_stage,
    stage_path,
    write_stage,
)


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
