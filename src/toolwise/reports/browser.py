"""Rollouts for the page's browser: which ones are embedded, and in what form."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwise.core import seed_for
from toolwise.reports.island import island_json
from toolwise.reports.run_folder import Record, RunContents, Stage, read_at

MAX_STEPS = 12
MAX_TEXT = 8_000
MAX_TOKENS = 3_000


@dataclass(frozen=True, slots=True)
class Embedded:
    """The chosen rollouts and how many there were.

    Attributes:
        rollouts: In order of stage, step and file.
        total: Rollouts in the run folder.
        scale: Advantage at which the colour scale is full, > 0; None if no rollout has advantages.
    """

    rollouts: list[Record]
    total: int
    scale: float | None


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    offset: int
    series: tuple[str, str]
    step: float
    group: str


def embed_rollouts(run: RunContents, budget: int) -> Embedded:
    """Choose rollouts for the page.

    Each stage gets an equal part of the budget. Of its steps at most `MAX_STEPS` are taken, evenly spread,
    first and last included; then whole groups, one from every step in turn, until the part is spent.

    Args:
        run: The run folder.
        budget: Bytes of JSON.
    """
    chosen: list[Record] = []
    total = 0
    with_rollouts = [stage for stage in run.stages if stage.rollout_files]
    left = budget
    for index, stage in enumerate(with_rollouts):
        places = [_place(path, offset, record) for path, offset, record in run.rollouts(stage)]
        total += len(places)
        picked, spent = _pick(stage, places, left // (len(with_rollouts) - index))
        left -= spent
        chosen += picked
    return Embedded(chosen, total, _scale(chosen))


def compact(record: Record, stage: str) -> Record:
    """The short form of a rollout that the page reads; overlong texts are cut and say so.

    Args:
        record: A line of ``rollouts/*.jsonl``.
        stage: Name of its stage.
    """
    info = record.get("info") if isinstance(record.get("info"), dict) else {}
    parts = record.get("parts") if isinstance(record.get("parts"), dict) else {}
    correct = record.get("correct", (parts or {}).get("correct"))
    turns = [_turn(turn) for turn in record["turns"] if isinstance(turn, dict)]
    return {
        "stage": stage,
        "policy": _text(record.get("policy")),
        "split": _text(record.get("split")),
        "step": _number(record.get("step")),
        "task": _text(record.get("task_id")),
        "sample": _number(record.get("sample")),
        "group": _text(record.get("group", record.get("task_id"))),
        "reward": _number(record.get("reward")),
        "parts": {str(key): _number(value) for key, value in (parts or {}).items()},
        "correct": None if (hit := _number(correct)) is None else hit >= 0.5,
        "stop": _text(record.get("stop")),
        "info": {
            str(key): value if isinstance(value, bool) else _text(value)
            for key, value in (info or {}).items()
        },
        "calls": sum(len(turn["calls"]) for turn in turns if turn["role"] == "assistant"),
        "turns": turns,
    }


def _place(path: Path, offset: int, record: Record) -> _Place:
    series = (_text(record.get("policy")), _text(record.get("split")))
    group = _text(record.get("group", record.get("task_id")))
    return _Place(path, offset, series, _number(record.get("step")) or 0.0, group)


def _pick(stage: Stage, places: Sequence[_Place], budget: int) -> tuple[list[Record], int]:
    queues = []
    for series in dict.fromkeys(place.series for place in places):
        mine = [place for place in places if place.series == series]
        for step in _spread(sorted({place.step for place in mine})):
            groups: dict[str, list[_Place]] = {}
            for place in mine:
                if place.step == step:
                    groups.setdefault(place.group, []).append(place)
            queues.append(
                [groups[name] for name in sorted(groups, key=lambda name: seed_for("report", name))]
            )
    taken: list[tuple[_Place, Record]] = []
    spent = misses = 0
    for turn in range(max(map(len, queues), default=0)):
        for queue in queues:
            if turn >= len(queue) or misses > MAX_STEPS:  # what is left is too small for what is left
                continue
            short = [(place, compact(read_at(place.path, place.offset), stage.name)) for place in queue[turn]]
            size = sum(_size(record) for _, record in short)
            if spent + size <= budget:
                spent += size
                taken += short
            else:
                misses += 1
    order = {id(place): number for number, place in enumerate(places)}
    taken.sort(key=lambda pair: (pair[0].step, order[id(pair[0])]))
    return [record for _, record in taken], spent


def _size(record: Record) -> int:
    """Bytes that a rollout takes in the page."""
    return len(island_json(record).encode("utf-8", errors="backslashreplace")) + 1


def _spread(steps: Sequence[float]) -> list[float]:
    if len(steps) <= MAX_STEPS:
        return list(steps)
    last = len(steps) - 1
    return [steps[round(number * last / (MAX_STEPS - 1))] for number in range(MAX_STEPS)]


def _turn(turn: Record) -> Record:
    role = _text(turn.get("role"))
    tokens = _items(turn.get("tokens"))
    short: Record = {
        "role": role,
        "sampled": turn.get("sampled") is True,
        "calls": [_call(call) for call in _items(turn.get("calls")) if isinstance(call, dict)],
        "results": [_result(result) for result in _items(turn.get("results")) if isinstance(result, dict)],
        "answer": None if turn.get("answer") is None else _cut(turn["answer"]),
        "error": _text(turn.get("error")),
    }
    if not tokens:
        return short | {"text": _cut(turn.get("text"))}
    short["tokens"] = [_text(token)[:200] for token in tokens[:MAX_TOKENS]]
    if len(tokens) > MAX_TOKENS:
        short["more"] = len(tokens) - MAX_TOKENS
    # What stands beside the tokens is kept only where it has their length: a wrong colour is worse than none.
    for name, digits in (("advantages", 3), ("logprobs", 3), ("weights", 2)):
        values = _items(turn.get(name))
        if len(values) == len(tokens):
            short[name] = [_rounded(value, digits) for value in values[:MAX_TOKENS]]
    return short


def _call(call: Record) -> Record:
    arguments = json.dumps(call.get("arguments", {}), ensure_ascii=False, default=str)
    return {
        "name": _cut(call.get("name"), 200),
        "arguments": _cut(arguments),
        "error": _text(call.get("error")),
        "detail": _cut(call.get("detail"), 500),
    }


def _result(result: Record) -> Record:
    return {
        "name": _cut(result.get("name"), 200),
        "content": _cut(result.get("content")),
        "error": _text(result.get("error")),
        "seconds": _rounded(result.get("seconds"), 3),
    }


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _cut(value: Any, limit: int = MAX_TEXT) -> str:
    text = _text(value)
    return text if len(text) <= limit else f"{text[:limit]} … [{len(text) - limit} characters left out]"


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and math.isfinite(value):
        return int(value) if float(value).is_integer() else float(value)
    return None


def _rounded(value: Any, digits: int) -> float | None:
    number = _number(value)
    return None if number is None else round(number, digits)


def _scale(rollouts: Iterable[Record]) -> float | None:
    """The 95th percentile of the sizes of advantages, without 0: one outlier must not pale all the rest."""
    sizes: list[float] = sorted(
        {
            abs(value)
            for rollout in rollouts
            for turn in rollout["turns"]
            for value in turn.get("advantages", ())
            if value
        }
    )
    if not sizes:
        has = any("advantages" in turn for rollout in rollouts for turn in rollout["turns"])
        return 1.0 if has else None
    return sizes[min(len(sizes) - 1, int(len(sizes) * 0.95))]
