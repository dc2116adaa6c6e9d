"""One round of DAST: difficulty, augmentation, and data for SFT and DPO (arXiv 2503.09029)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from toolwise.core import Task, ToolwiseError
from toolwise.data.dast.levels import LEVELS, Level
from toolwise.data.dast.plan import DastPlan
from toolwise.data.dast.sampling import Draw, augment, estimate, exemplars, preference_pairs
from toolwise.data.demonstrations import Demonstration, write_demonstrations
from toolwise.data.preferences import Preference, write_preferences
from toolwise.data.stage import Record, StageReport, Suffix, run_stage
from toolwise.data.tasks import write_tasks
from toolwise.data.writing import write_records


@dataclass(frozen=True, slots=True)
class LevelCounts:
    """What a level has come to.

    Attributes:
        queries: Queries of the level.
        query_share: Their share of all queries.
        solved: Queries with at least one right answer within the budget.
        answers: Right answers that are kept.
        answer_share: Their share of all kept answers.
        mean_words: Mean length of the kept answers, in words; 0 if there are none.
        spent: Samples drawn for the solved ones, those of the difficulty not counted.
        pairs: Pairs for DPO.
    """

    queries: int
    query_share: float
    solved: int
    answers: int
    answer_share: float
    mean_words: float
    spent: int
    pairs: int


@dataclass(frozen=True, slots=True)
class DastReport:
    """What a round came to.

    Attributes:
        stages: What each stage kept and dropped.
        levels: By level, from easy to unsolved.
        without_wrong: Queries with right answers but no wrong one, which give no pair.
    """

    stages: tuple[StageReport, ...]
    levels: Mapping[Level, LevelCounts]
    without_wrong: int

    def to_record(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return {
            "stages": [stage.to_record() for stage in self.stages],
            "levels": {str(level): asdict(counts) for level, counts in self.levels.items()},
            "without_wrong": self.without_wrong,
        }


async def run_dast(
    tasks: Sequence[Task],
    draw: Draw,
    plan: DastPlan,
    out: Path,
    *,
    name: str,
    suffix: Suffix = ".jsonl",
    concurrency: int = 8,
) -> DastReport:
    """Sample, sort by difficulty, augment, and write the data; the same call goes on after a stop.

    Writes ``1-difficulty`` and ``2-answers`` with what was dropped and why, ``demonstrations`` for SFT
    (DAST-S) and ``preferences`` for DPO (DAST-D). The data hold the plain queries: exemplars are shown while
    sampling only. ``tasks`` are the queries with ``info.known_share`` and ``info.level``, by which an
    evaluation breaks its measures down.

    Args:
        tasks: Queries with answers.
        draw: Draws judged samples from the current policy.
        plan: Settings.
        out: The folder.
        name: Of the policy and the judge; with another one the stages are done anew.
        suffix: Of the files.
        concurrency: Queries that are sampled at once.

    Raises:
        ToolwiseError: No query gets a right answer, or what a stage raises.
    """
    by_id = {task.id: task for task in tasks}
    rows: list[Record] = [{"id": task.id, "question": question_of(task)} for task in tasks]
    settings = plan.model_dump(mode="json") | {"policy": name}
    graded, first = await run_stage(
        "1-difficulty",
        rows,
        estimate(draw, plan),
        out,
        settings={"policy": name, "samples": plan.samples, "thresholds": settings["thresholds"]},
        suffix=suffix,
        concurrency=concurrency,
    )
    levels = {row["id"]: Level(row["level"]) for row in graded}
    marks = [{"level": row["level"], "known_share": row["share"]} for row in graded]
    leveled = [
        replace(by_id[row["id"]], info={**by_id[row["id"]].info, **mark})
        for row, mark in zip(graded, marks, strict=True)
    ]
    write_tasks(out / f"tasks{suffix}", leveled)
    work = augment(draw, plan, plan.target_of(levels), exemplars(graded))
    answered, second = await run_stage(
        "2-answers", graded, work, out, settings=settings, suffix=suffix, concurrency=concurrency
    )
    if not answered:
        raise ToolwiseError(
            "no query has a right answer within its budget",
            where=str(out),
            mend="take a stronger model to begin with, larger budgets, or easier tasks",
        )
    demonstrations: list[Demonstration] = []
    preferences: list[Preference] = []
    pairs: dict[str, int] = {}
    for row in answered:
        task = by_id[row["id"]]
        demonstrations += [
            Demonstration(f"{task.id}/{place}", (*task.prompt, _said(text)), task.tools)
            for place, text in enumerate(row["right"])
        ]
        found = preference_pairs(row["right"], row["wrong"], len(row["right"]))
        pairs[task.id] = len(found)
        preferences += [
            Preference(f"{task.id}/{place}", task.prompt, (_said(right),), (_said(wrong),), task.tools)
            for place, (right, wrong) in enumerate(found)
        ]
    write_demonstrations(out / f"demonstrations{suffix}", demonstrations)
    write_preferences(out / f"preferences{suffix}", preferences)
    counts = {level: _counts(level, graded, answered, pairs) for level in LEVELS}
    report = DastReport((first, second), counts, sum(not number for number in pairs.values()))
    write_records(out / "report.jsonl", [report.to_record()])
    return report


def question_of(task: Task) -> str:
    """What is asked: the last user message."""
    asked = [message for message in task.prompt if message["role"] == "user"]
    return str(asked[-1].get("content") or "") if asked else ""


def _counts(
    level: Level, graded: Sequence[Record], answered: Sequence[Record], pairs: Mapping[str, int]
) -> LevelCounts:
    queries = sum(row["level"] == level for row in graded)
    own = [row for row in answered if row["level"] == level]
    texts = [text for row in own for text in row["right"]]
    every = sum(len(row["right"]) for row in answered)
    return LevelCounts(
        queries=queries,
        query_share=queries / len(graded),
        solved=len(own),
        answers=len(texts),
        answer_share=len(texts) / every,
        mean_words=sum(len(text.split()) for text in texts) / len(texts) if texts else 0.0,
        spent=sum(row["spent"] for row in own),
        pairs=sum(pairs[row["id"]] for row in own),
    )


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}
