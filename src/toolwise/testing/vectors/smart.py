"""Vectors of SMART's parsers: steps read from text, steps put back, and the turns of its baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from toolwise.dialects.smart_steps import Step, format_steps, parse_steps
from toolwise.dialects.tool_prompt import parse_tool_prompt
from toolwise.testing.vectors.comparison import Check, check, read_lines

Row = Mapping[str, Any]


def _format(row: Row) -> str:
    return format_steps(Step.from_record(step) for step in row["steps"])


KINDS: Mapping[str, Callable[[Row], Any]] = {
    "smart_parse_steps": lambda row: [step.to_record() for step in parse_steps(row["text"])],
    "smart_format_steps": _format,
    "tool_prompt_parse_steps": lambda row: [step.to_record() for step in parse_tool_prompt(row["text"])],
}


def _compare(row: Row) -> str:
    expected = row["expected"]
    raises = isinstance(expected, Mapping) and "raises" in expected
    try:
        ours = KINDS[row["kind"]](row)
    except (ValueError, KeyError) as error:
        return "" if raises else f"raised {type(error).__name__}: {error}"
    if raises:
        return f"{ours!r}, where the published parser raises {expected['raises']}"
    return "" if ours == expected else f"{ours!r}, expected {expected!r}"


def checks(path: Path) -> Iterator[Check]:
    """Compare ``smart_parser_vectors.jsonl``; where the published parser raises, ours has to raise too."""
    for row in read_lines(path):
        kind = str(row.get("kind"))
        if kind in KINDS:
            yield check(row["id"], _compare, row)
        else:
            yield Check(str(row.get("id")), f"kind {kind!r} is not known")
