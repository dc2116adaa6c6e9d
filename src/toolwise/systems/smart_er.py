"""SMART-ER as a command: from a published source with an auxiliary model, or from the almanac without one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolwise.data.smart_er import (
    DOMAIN_TOOLS,
    Domain,
    StageReport,
    Written,
    played_user,
    read_source,
    run_pipeline,
    write_training,
)
from toolwise.data.stage import Suffix
from toolwise.data.writing import write_records
from toolwise.dialects import STEP_TOOLS, StepTool
from toolwise.systems.chat_targets import chat_model
from toolwise.tools import SearchIndex, Tool, Toolbox, calculator, search_tool
from toolwise.worlds.almanac import KINDS, build_world, sample_questions
from toolwise.worlds.almanac.agent import almanac_toolbox
from toolwise.worlds.almanac.chains import CHAIN_TOOLS, chain, final_response
from toolwise.worlds.almanac.questions import ask

SMART_ER_TOOLS: Mapping[str, StepTool] = {
    **STEP_TOOLS,
    "Code": StepTool("calculator", "expression", fenced=True),
}
"""Which tool a step of the pipeline calls."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a run of the pipeline came to.

    Attributes:
        left_out: Rows of the source that were no question, by reason.
        stages: What each stage kept and dropped.
        folder: Where everything is.
    """

    left_out: Mapping[str, int]
    stages: tuple[StageReport, ...]
    folder: Path


def smart_er(
    domain: Domain,
    source: Path,
    out: Path,
    teacher: str,
    *,
    corpus: Path | None = None,
    limit: int | None = None,
    variants: int = 2,
    suffix: Suffix = ".jsonl",
    concurrency: int = 8,
) -> Made:
    """Make training pairs of a published source; the same call goes on after a stop.

    Args:
        domain: Of the source; see `read_source` for the formats.
        source: The file.
        out: The folder to write to.
        teacher: The auxiliary model, see `chat_model`.
        corpus: Of the search tool; the domains time and intention need it.
        limit: Most questions, from the start of the source.
        variants: Questions that are made of each fast-changing one.
        suffix: Of the files.
        concurrency: Rows that are worked on at once.

    Raises:
        ToolwiseError: Something cannot be read, written or reached, or no row came through.
    """
    questions, left_out = read_source(domain, source, limit)
    model = chat_model(teacher, out / "chat-cache.sqlite")
    tools: list[Tool] = [calculator(), played_user(model)]
    if corpus is not None:
        tools.append(search_tool(SearchIndex.from_file(corpus), top_k=3))
    reports = asyncio.run(
        run_pipeline(
            questions,
            model,
            Toolbox(tools),
            SMART_ER_TOOLS,
            out,
            name=teacher,
            variants=variants,
            suffix=suffix,
            concurrency=concurrency,
        )
    )
    return Made(left_out, tuple(reports), out)


def almanac_smart_er(
    out: Path, *, world: int = 0, seed: int = 0, count: int = 100, suffix: Suffix = ".jsonl"
) -> dict[str, int]:
    """Write the chains of the almanac's training questions, and the data to train on; no model is asked.

    Args:
        out: The folder to write to.
        world: Seed of the world.
        seed: Decides which questions.
        count: Most questions of each kind.
        suffix: Of the files.

    Returns:
        Rows by file name.

    Raises:
        ToolwiseError: The disk refuses.
    """
    almanac = build_world(world)
    chains = []
    for question, wording in sample_questions(almanac, "train", dict.fromkeys(KINDS, count), seed):
        task = ask(question, wording)
        kind = KINDS[question.kind]
        steps = tuple(chain(almanac, question))
        extra = {"kind": question.kind, "needs_tool": kind.needs_tool}
        asked = str(task.prompt[0]["content"])
        chains.append(Written(task.id, kind.domain, asked, steps, final_response(question), extra))
    rows = [
        {
            "id": one.id,
            "domain": one.domain,
            "question": one.question,
            "chain": [step.to_record() for step in one.steps],
            "final": one.final,
            **one.extra,
        }
        for one in chains
    ]
    write_records(out / f"chains{suffix}", rows)
    every = tuple(CHAIN_TOOLS)
    written = write_training(
        out,
        chains,
        almanac_toolbox(almanac),
        CHAIN_TOOLS,
        suffix,
        {**DOMAIN_TOOLS, **dict.fromkeys({kind.domain for kind in KINDS.values()}, every)},
    )
    return {f"chains{suffix}": len(rows), **written}
