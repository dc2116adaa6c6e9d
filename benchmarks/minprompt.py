"""MinPrompt's selection at the sizes of its published table, and beyond.

``python -m benchmarks.minprompt --size textbookqa|squad|hotpotqa|…`` makes a graph with the published
numbers of sentences and edges (entities are drawn by Zipf's law, whose exponent is fitted to the edges) and
selects from it. ``--networkx`` compares with networkx's ``dominating_set`` on the explicit graph, building
included. ``--growth N`` goes on to N sentences of the same law. Each size runs in a process of its own, so
that memory is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from statistics import median
from typing import Any

import numpy as np

from benchmarks.report import machine, peak_gib, table
from toolwise.data.minprompt.graph import SentenceGraph
from toolwise.data.minprompt.selection import degrees, select

PUBLISHED = {
    "textbookqa": (30_723, 3_150_557, 1_116),
    "bioasq": (60_080, 6_821_645, 4_480),
    "searchqa": (25_413, 13_425_062, 1_518),
    "squad": (104_160, 20_310_486, 8_260),
    "triviaqa": (123_183, 36_716_957, 11_099),
    "newsqa": (356_408, 339_619_544, 24_015),
    "nq": (418_049, 408_935_741, 30_452),
    "hotpotqa": (417_895, 766_206_565, 34_830),
}
"""Sentences, edges and set of the published graphs (specification, 4.2)."""
GOALS = {"squad": 0.5, "hotpotqa": 5.0, "10m": 180.0}
"""Seconds of selection."""
MENTIONS, ENTITIES = 2.5, 0.6
"""Mentions a sentence (Poisson), and entities a sentence, of the model."""
TOLERANCE = 0.01
ROUNDS = 7
"""Of the comparison with networkx."""


def draw(sentences: int, exponent: float, seed: int) -> SentenceGraph:
    """A graph whose mentions are drawn by Zipf's law over ``ENTITIES * sentences`` entities."""
    rng = np.random.default_rng(seed)
    entities = int(ENTITIES * sentences)
    owner = np.repeat(np.arange(sentences, dtype=np.int32), rng.poisson(MENTIONS, sentences))
    shares = np.cumsum(np.arange(1, entities + 1, dtype=np.float64) ** -exponent)
    drawn = np.searchsorted(shares, rng.random(len(owner)) * shares[-1]).astype(np.int32)
    return SentenceGraph.from_pairs(owner, drawn, (sentences, entities))


def fitted(sentences: int, edges: int, seed: int) -> tuple[SentenceGraph, float, int]:
    """The graph, its exponent, and its edges: bisection until they are within 1 % of the wanted ones."""
    low, high = 0.2, 1.4
    for _ in range(30):
        exponent = (low + high) / 2
        graph = draw(sentences, exponent, seed)
        # Edges counted once for each shared entity are an upper bound, cheap to look at first.
        found = graph.listed_edges
        if found >= edges:
            found = int(degrees(graph).astype(np.int64).sum() // 2)
        if abs(found - edges) <= TOLERANCE * edges:
            break
        low, high = (exponent, high) if found < edges else (low, exponent)
    return graph, exponent, found


def measure(
    sentences: int, edges: int | None, exponent: float | None, mode: str, engine: str
) -> dict[str, Any]:
    """One graph: made, selected from, and what it took."""
    begun = time.perf_counter()
    found: int | None = None
    if exponent is None:
        assert edges is not None
        graph, exponent, found = fitted(sentences, edges, 0)
    else:
        graph = draw(sentences, exponent, 0)
    made = time.perf_counter() - begun
    select(draw(1000, 0.8, 1), mode, engine=engine)  # type: ignore[arg-type]  # compiles, or loads what is compiled
    arrays = sum(part.nbytes for part in (graph.sentence_start, graph.sentence_entities)) * 2 / 2**30
    times = []
    for _ in range(3 if sentences < 10**6 else 1):
        begun, busy = time.perf_counter(), time.process_time()
        selection = select(graph, mode, engine=engine)  # type: ignore[arg-type]
        times.append((time.perf_counter() - begun, time.process_time() - busy))
    seconds, cpu = min(times)
    return {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu, 3),
        "peak_gib": round(peak_gib(), 3),
        "graph_gib": round(arrays, 3),
        "nodes": sentences,
        "edges": graph.listed_edges if found is None else found,
        "mentions": len(graph.sentence_entities),
        "selected": len(selection.sentences),
        "isolated": selection.isolated,
        "at_least": selection.at_least,
        "exponent": round(exponent, 4),
        "made_in": round(made, 1),
    }


def against_networkx(sentences: int, exponent: float) -> dict[str, float]:
    """Against networkx's ``dominating_set``, building its graph included; ours from pairs, in turns.

    Seconds and the ratio are medians over `ROUNDS`.
    """
    import networkx

    graph = draw(sentences, exponent, 0)
    owner = np.repeat(np.arange(sentences), np.diff(graph.sentence_start))
    drawn = graph.sentence_entities
    select(draw(1000, 0.8, 1))
    mine, theirs, built = [], [], []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        own = SentenceGraph.from_pairs(owner, drawn, (sentences, graph.entities))
        select(own, isolated="drop")
        mine.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        explicit = networkx.Graph()
        for entity in range(graph.entities):
            first, last = graph.entity_start[entity], graph.entity_start[entity + 1]
            members = graph.entity_sentences[first:last].tolist()
            explicit.add_edges_from((a, b) for place, a in enumerate(members) for b in members[place + 1 :])
        built.append(time.perf_counter() - begun)
        found = networkx.dominating_set(explicit)
        theirs.append(time.perf_counter() - begun)
        del explicit
    ratios = [other / own for own, other in zip(mine, theirs, strict=True)]
    return {
        "networkx_seconds": round(median(theirs), 2),
        "networkx_build_seconds": round(median(built), 2),
        "networkx_selected": len(found),
        "ours_seconds_with_building": round(median(mine), 4),
        "times_faster": round(median(ratios), 1),
        "lowest": round(min(ratios), 1),
        "highest": round(max(ratios), 1),
    }


def _apart(*arguments: str) -> dict[str, Any]:
    """Run one measurement in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.minprompt", "--one", *arguments],
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(run.stdout.decode().strip().splitlines()[-1])
    return found


def main() -> None:
    """Measure, print the table, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="squad", choices=(*PUBLISHED, "all"), help="of the published table")
    parser.add_argument("--mode", default="cover", choices=("cover", "paper", "code"))
    parser.add_argument("--engine", default="auto", choices=("auto", "numba", "numpy"))
    parser.add_argument(
        "--networkx", action="store_true", help="compare, at the smallest size that is measured"
    )
    parser.add_argument("--growth", type=int, metavar="N", help="from 100,000 sentences to N, times ten each")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        kind, sentences, *rest = given.one
        if kind == "networkx":
            print(json.dumps(against_networkx(int(sentences), float(rest[0]))))
            return
        edges, exponent, mode, engine = rest
        print(json.dumps(measure(int(sentences), *_either(edges, exponent), mode, engine)))
        return
    rows: list[tuple[str, dict[str, Any]]] = []
    for name in PUBLISHED if given.size == "all" else (given.size,):
        nodes, edges, chosen = PUBLISHED[name]
        found = _apart("size", str(nodes), str(edges), "-", given.mode, given.engine)
        rows.append((name, found | {"published_set": chosen, "published_edges": edges}))
    last = rows[-1][1]
    figures: dict[str, Any] = {"sizes": dict(rows)}
    if given.networkx:
        figures["networkx"] = _apart("networkx", str(rows[0][1]["nodes"]), str(rows[0][1]["exponent"]))
    if given.growth:
        count = 100_000
        while count <= given.growth:
            grown = _apart("size", str(count), "-", str(last["exponent"]), given.mode, given.engine)
            rows.append((f"{count:,} sentences", grown))
            count *= 10
        figures["growth"] = {name: found for name, found in rows if name.endswith("sentences")}
    shown = ("nodes", "edges", "selected", "published_set", "seconds", "cpu_seconds", "peak_gib", "graph_gib")
    table(f"selection by {given.mode}", shown, rows)
    print(json.dumps(figures))
    summary = {name: last[name] for name in ("seconds", "peak_gib", "nodes", "edges", "selected")}
    print(
        json.dumps(
            {"benchmark": "minprompt", "size": rows[0][0], **summary, "goals": GOALS, "machine": machine()}
        )
    )


def _either(edges: str, exponent: str) -> tuple[int | None, float | None]:
    return (None, float(exponent)) if edges == "-" else (int(edges), None)


if __name__ == "__main__":
    main()
