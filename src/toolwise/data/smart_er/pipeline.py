"""SMART-ER from a source to training pairs (Qian et al. 2025, arXiv 2502.11435, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolwise.core import ToolwiseError
from toolwise.data.demonstrations import write_demonstrations
from toolwise.data.smart_er.chain import justify, write_steps
from toolwise.data.smart_er.checks import check
from toolwise.data.smart_er.goals import annotate, decompose, map_tools
from toolwise.data.smart_er.pairs import demonstration, domain_instruction, training_pairs
from toolwise.data.smart_er.selection import select
from toolwise.data.smart_er.sources import DOMAIN_TOOLS, SourceQuestion
from toolwise.data.stage import Record, StageReport, Suffix, Work, require_rows, run_stage
from toolwise.data.writing import write_records
from toolwise.dialects import StepTool
from toolwise.dialects.smart_steps import Step
from toolwise.sampling.chat import ChatModel
from toolwise.tools import Toolbox


@dataclass(frozen=True, slots=True)
class Written:
    """A finished chain.

    Attributes:
        id: Unique.
        domain: Decides the instruction.
        question: The task.
        steps: With justifications and outputs.
        final: The final response.
        extra: Fields that go into its pairs, such as ``missing_details``.
    """

    id: str
    domain: str
    question: str
    steps: tuple[Step, ...]
    final: str
    extra: Mapping[str, object]


async def run_pipeline(
    questions: Sequence[SourceQuestion],
    model: ChatModel,
    toolbox: Toolbox,
    tools: Mapping[str, StepTool],
    out: Path,
    *,
    name: str = "",
    variants: int = 2,
    suffix: Suffix = ".jsonl",
    concurrency: int = 8,
) -> list[StageReport]:
    """Every stage in order, each reading what the last one wrote; the same call goes on after a stop.

    Args:
        questions: Of one or several domains.
        model: The auxiliary model M.
        toolbox: Real tools; those of the domains must be in it.
        tools: Which tool of it a step's name means.
        out: The folder.
        name: Of the auxiliary model; with another one the stages are done anew.
        variants: See `select`.
        suffix: Of the files of the stages, the pairs and the demonstrations.
        concurrency: Rows that are worked on at once.

    Returns:
        What each stage kept and dropped.

    Raises:
        ToolwiseError: A tool is missing, no chain came through, a file cannot be written, or the model
            cannot be reached.
    """
    for domain in dict.fromkeys(question.domain for question in questions):
        for step in DOMAIN_TOOLS[domain]:
            if tools[step].tool not in toolbox.names:
                raise ToolwiseError(
                    f"the domain {domain} calls '{tools[step].tool}', which is not there",
                    where="SMART-ER",
                    mend="give a corpus for search" if step == "Search" else "add the tool",
                )
    stages: list[tuple[str, Work]] = [
        ("2-selected", select(model, variants=variants)),
        ("3-goals", decompose(model)),
        ("4-annotated", annotate(model)),
        ("5-tools", map_tools(model)),
        ("6-steps", write_steps(model, toolbox, tools)),
        ("7-justified", justify(model)),
        ("8-checked", check(model)),
    ]
    rows: list[Record] = [question.to_record() for question in questions]
    write_records(out / f"1-questions{suffix}", rows)
    reports = []
    settings = {"model": name, "variants": variants, "tools": {key: tool.tool for key, tool in tools.items()}}
    for stage, work in stages:
        rows, report = await run_stage(
            stage, rows, work, out, settings=settings, suffix=suffix, concurrency=concurrency
        )
        reports.append(report)
        require_rows(rows, report, out)
    write_training(out, [_written(row) for row in rows], toolbox, tools, suffix)
    return reports


def write_training(
    out: Path,
    chains: Sequence[Written],
    toolbox: Toolbox,
    tools: Mapping[str, StepTool],
    suffix: Suffix = ".jsonl",
    domain_tools: Mapping[str, Sequence[str]] = DOMAIN_TOOLS,
) -> dict[str, int]:
    """Write ``pairs`` and ``demonstrations``, each also with indicators.

    Args:
        out: The folder.
        chains: Finished ones.
        toolbox: Describes the tools.
        tools: Which tool of it a step's name means.
        suffix: Of the files.
        domain_tools: The tools that the instruction of a domain names.

    Returns:
        Rows by file name.
    """
    specs = {name: toolbox[name].spec() for name in toolbox.names}
    rows: dict[str, int] = {}
    # Parquet has the same columns in every row.
    extras = dict.fromkeys(key for chain in chains for key in chain.extra)
    for indicators, ending in ((False, ""), (True, "-indicator")):
        pairs = []
        for chain in chains:
            instruction = domain_instruction(domain_tools[chain.domain], specs, tools)
            made = training_pairs(chain.question, chain.steps, chain.final, instruction, indicators)
            pairs += [
                {"id": f"{chain.id}/{number}", **pair, "domain": chain.domain, **extras, **chain.extra}
                for number, pair in enumerate(made)
            ]
        whole = [
            demonstration(
                chain.id,
                chain.question,
                chain.steps,
                chain.final,
                tools,
                domain_tools[chain.domain],
                indicators,
            )
            for chain in chains
        ]
        write_records(out / f"pairs{ending}{suffix}", pairs)
        write_demonstrations(out / f"demonstrations{ending}{suffix}", whole)
        rows |= {f"pairs{ending}{suffix}": len(pairs), f"demonstrations{ending}{suffix}": len(whole)}
    return rows


def _written(row: Record) -> Written:
    hints = row["hints"]
    extra: dict[str, object] = {}
    if row["domain"] == "intention":
        extra["missing_details"] = [
            {key: detail.get(key, "") for key in ("description", "importance")}
            for detail in hints["missing_details"]
        ]
    if row["domain"] == "math" and (hints.get("subject") or hints.get("level")):
        extra["others"] = ": ".join(part for part in (hints.get("subject"), hints.get("level")) if part)
    steps = tuple(Step.from_record(record) for record in row["chain"])
    return Written(row["id"], row["domain"], row["question"], steps, row["final"], extra)
