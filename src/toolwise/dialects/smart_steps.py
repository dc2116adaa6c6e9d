"""SMART's steps as text (Qian et al. 2025, arXiv 2502.11435; format and quirks as its program has them).

A step is ``- Step 1: <title> (general reasoning)`` or ``- Step 2: <title> (tool: <tool>)`` and its body
below. Of a tool step the body is the argument alone, and ``- Output: …`` stands after it once the tool has
run. The text ends with ``### Final Response`` and the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

FINAL = "### Final Response"
OUTPUT = "- Output:"
TASK = "### Task"
STEPS = "### Reasoning Steps"
REASONING = "Reasoning"
"""Indicator of a step without a tool."""

_SPLIT = "\n- Step"
_INDICATOR = re.compile(r"\A\[\[(\w+)\]\]\s*")


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        title: What it does.
        body: Reasoning in words, or the tool's argument.
        tool: ``Code``, ``Search`` or ``AskUser``; None: general reasoning.
        output: What the tool gave; None: it has not run.
    """

    title: str
    body: str
    tool: str | None = None
    output: str | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Step:
        """Read the published form: ``name``, ``type``, ``tool_name``, ``reasoning`` and perhaps ``output``.

        Raises:
            KeyError: One of the first four is missing.
        """
        tool, kind = record["tool_name"], record["type"]
        output = str(record["output"]) if "output" in record else None
        return cls(record["name"], record["reasoning"], str(tool) if kind == "tool" else None, output)

    def to_record(self) -> dict[str, Any]:
        """Inverse of `from_record`."""
        record = {
            "name": self.title,
            "type": "normal" if self.tool is None else "tool",
            "tool_name": self.tool,
            "reasoning": self.body,
        }
        return record if self.output is None else record | {"output": self.output}


def step_pieces(text: str) -> list[str]:
    """The text of each step, the numbers of all but the first without ``- Step``."""
    return [piece for part in text.strip().split(_SPLIT) if (piece := part.strip())]


def read_step(piece: str) -> Step | None:
    """The step that a piece is; None if its first line is none.

    As published: the title ends at its first colon, and without parentheses it loses its last character.
    """
    first, _, body = piece.partition("\n")
    cut = first.rfind("(")
    head = first[:cut].split(":")
    kind = first[cut + 1 :].split(")")[0].strip()
    if len(head) < 2:
        return None
    title, tool = head[1].strip(), None
    if kind.startswith("tool"):
        named = kind.split(":")
        if len(named) < 2:
            return None
        tool = named[1].strip()
    return Step(title, body.strip(), tool)


def parse_steps(text: str) -> list[Step]:
    """The steps of a text; what is no step is dropped, and a piece with the final response becomes one."""
    steps = []
    for piece in step_pieces(text):
        if FINAL in piece:
            steps.append(Step("Final Response", piece.split(FINAL)[0].strip()))
        elif (step := read_step(piece)) is not None:
            steps.append(step)
    return steps


def format_steps(steps: Iterable[Step], first: int = 1) -> str:
    """Steps as text, numbered from `first`."""
    parts = []
    for number, step in enumerate(steps, start=first):
        kind = "general reasoning" if step.tool is None else f"tool: {step.tool}"
        text = f"- Step {number}: {step.title} ({kind})\n{step.body.strip()}"
        if step.output is not None:
            text += f"\n{OUTPUT} {step.output}"
        parts.append(text.strip())
    return "\n\n".join(parts)


def format_input(task: str, steps: Sequence[Step] = ()) -> str:
    """What a model is given below its instruction: the task, and the steps so far."""
    return f"{TASK}\n{task.strip()}\n\n{STEPS}\n{format_steps(steps)}"


def format_final(answer: str) -> str:
    """The end of a text."""
    return f"{FINAL}\n{answer.strip()}"


def indicated(step: Step) -> Step:
    """The step of the indicator variant: its title begins with ``[[Reasoning]]`` or ``[[<tool>]]``.

    The paper says that each step begins with its indicator; right after the number is our reading.
    """
    return replace(step, title=f"[[{step.tool or REASONING}]] {step.title}")


def without_indicator(step: Step) -> Step:
    """Inverse of `indicated`; other steps stay as they are."""
    return replace(step, title=_INDICATOR.sub("", step.title))
