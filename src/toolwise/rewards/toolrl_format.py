"""ToolRL's turn grammar: the shape a turn must have, and the length of its thought."""

from __future__ import annotations

import re

_THINK = "<think>.*?</think>"
_CALLS = "<tool_call>\n.*?\n</tool_call>"
_RESPONSE = "<response>.*?</response>"


def has_format(response: str, reference: str) -> bool:
    """Whether a turn has the shape that the tags in its reference ask for.

    A thought; then, each after exactly one newline, a call block if the reference has one and a response
    block if it has one. Each of these tags must occur exactly once in the whole turn; the number of think
    tags is not looked at.

    Args:
        response: The turn, stripped.
        reference: The reference turn.
    """
    wanted = [tag for tag in ("tool_call", "response") if f"<{tag}>" in reference]
    shape = "\n".join([_THINK, *({"tool_call": _CALLS, "response": _RESPONSE}[tag] for tag in wanted)])
    if re.fullmatch(shape, response, re.DOTALL) is None:
        return False
    return all(response.count(f"<{tag}>") == 1 == response.count(f"</{tag}>") for tag in wanted)


def reasoning_words(response: str) -> int:
    """Words after the last ``<think>`` up to the next ``</think>``; 0 if either tag is missing."""
    if "<think>" not in response or "</think>" not in response:
        return 0
    return len(response.rpartition("<think>")[2].partition("</think>")[0].split())
