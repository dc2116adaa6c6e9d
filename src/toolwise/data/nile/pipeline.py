"""NILE from instruction data to demonstrations: IKE, KSR, ICF (arXiv 2412.16686, section 3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from toolwise.data.demonstrations import Demonstration, write_demonstrations
from toolwise.data.nile.filtering import LOW, filter_consistent
from toolwise.data.nile.knowledge import (
    Completion,
    KnowledgeExample,
    demonstrations_of,
    extract_knowledge,
    sample_queries,
)
from toolwise.data.nile.revision import Revision, revise
from toolwise.data.nile.rows import InstructionRow
from toolwise.data.stage import Record, StageReport, Suffix, Work, require_rows, run_stage
from toolwise.data.writing import write_records
from toolwise.sampling.chat import ChatModel

Score = Callable[[Record], Awaitable[float]]
"""Consistency of a row's ``revised`` answer with its ``internal`` knowledge; larger agrees more."""


class NileConfig(BaseModel):
    """Settings of the pipeline.

    Attributes:
        demonstrations: Sample queries that the strong model writes knowledge for (not published).
        shots: k, demonstrations in the prompt of the model.
        retrieval: How they are chosen.
        revision: ``ksr``, or ``sr`` and ``none`` as baselines.
        drop_lowest: Share of the rows that agree least and go; see `filter_consistent`.
        drop_highest: Share of the rows that agree most and go.
        knowledge_tokens: Most tokens of the model's knowledge.
        answer_tokens: Most tokens of a revised answer.
        seed: Decides which queries become demonstrations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    demonstrations: int = Field(default=32, ge=2)
    shots: int = Field(default=2, ge=1)
    retrieval: Literal["bm25", "fixed"] = "bm25"
    revision: Revision = "ksr"
    drop_lowest: float = Field(default=LOW, ge=0, lt=1)
    drop_highest: float = Field(default=0.0, ge=0, lt=1)
    knowledge_tokens: int = Field(default=256, ge=1)
    answer_tokens: int = Field(default=1024, ge=1)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class NileModels:
    """Who does what.

    Attributes:
        strong: Writes the demonstrations of knowledge.
        base: The model that is to be trained: its knowledge is extracted.
        reviser: Rewrites the answers.
        score: Consistency.
        names: What tells one set of models from another, by role; with others the stages are done anew.
    """

    strong: ChatModel
    base: Completion
    reviser: ChatModel
    score: Score
    names: dict[str, str]


@dataclass(frozen=True, slots=True)
class NileReport:
    """What a run came to.

    Attributes:
        stages: What each stage kept and dropped, the filter last.
        consistency: Mean score of all revised answers, and of those that stay.
    """

    stages: tuple[StageReport, ...]
    consistency: tuple[float, float]


async def run_nile(
    rows: Sequence[InstructionRow],
    models: NileModels,
    config: NileConfig,
    out: Path,
    *,
    suffix: Suffix = ".jsonl",
    concurrency: int = 8,
) -> NileReport:
    """Every stage in order; the same call goes on after a stop.

    Writes ``1-rows``, ``2-demonstrations``, ``3-knowledge``, ``4-revised``, ``5-scored``, ``6-filtered`` with
    what each dropped and why, and ``demonstrations`` to train on.

    Args:
        rows: The instruction data.
        models: Who does what.
        config: Settings.
        out: The folder.
        suffix: Of the files that stages read.
        concurrency: Rows that are worked on at once.

    Raises:
        ToolwiseError: No row comes through a stage, or what a stage raises.
    """
    plain: list[Record] = [row.to_record() for row in rows]
    write_records(out / f"1-rows{suffix}", plain)
    reports: list[StageReport] = []

    async def stage(name: str, given: Sequence[Record], work: Work, **settings: Any) -> list[Record]:
        kept, report = await run_stage(
            name, given, work, out, settings=settings, suffix=suffix, concurrency=concurrency
        )
        reports.append(report)
        require_rows(kept, report, out)
        return kept

    names = models.names
    shown = await stage(
        "2-demonstrations",
        sample_queries(plain, config.demonstrations, config.seed),
        demonstrations_of(models.strong),
        model=names["strong"],
    )
    examples = [KnowledgeExample(row["id"], row["query"], row["knowledge"]) for row in shown]
    known = await stage(
        "3-knowledge",
        plain,
        extract_knowledge(
            models.base,
            examples,
            shots=config.shots,
            retrieval=config.retrieval,
            max_tokens=config.knowledge_tokens,
        ),
        model=names["base"],
        examples=shown,
        shots=config.shots,
        retrieval=config.retrieval,
        tokens=config.knowledge_tokens,
    )
    revised = await stage(
        "4-revised",
        known,
        revise(models.reviser, config.revision, config.answer_tokens),
        model=names["reviser"],
        revision=config.revision,
        tokens=config.answer_tokens,
    )

    async def scored(row: Record) -> list[Record]:
        return [row | {"consistency": float(await models.score(row))}]

    judged = await stage("5-scored", revised, scored, score=names["score"])
    scores = [row["consistency"] for row in judged]
    found = filter_consistent(scores, config.drop_lowest, config.drop_highest)
    lost = [("agrees least with the model's knowledge", place) for place in found.lowest]
    lost += [("agrees most with the model's knowledge", place) for place in found.highest]
    kept = [judged[place] for place in found.kept]
    write_records(out / f"6-filtered{suffix}", kept)
    write_records(
        out / "6-filtered.dropped.jsonl",
        [
            {"id": judged[place]["id"], "reason": reason, "detail": f"consistency {scores[place]:.4f}"}
            for reason, place in sorted(lost, key=lambda item: item[1])
        ],
    )
    counts = {"agrees least with the model's knowledge": len(found.lowest)}
    counts["agrees most with the model's knowledge"] = len(found.highest)
    reports.append(
        StageReport("6-filtered", len(judged), len(kept), {key: n for key, n in counts.items() if n})
    )
    write_demonstrations(out / f"demonstrations{suffix}", [_demonstration(row) for row in kept])
    mean = sum(scores) / len(scores)
    return NileReport(tuple(reports), (mean, sum(row["consistency"] for row in kept) / len(kept)))


def _demonstration(row: Record) -> Demonstration:
    before = [{"role": "system", "content": row["system"]}] if row["system"] else []
    asked = {"role": "user", "content": row["query"]}
    return Demonstration(row["id"], (*before, asked, {"role": "assistant", "content": row["revised"]}))
