"""ToolRL's turn grammar: the shape a turn must have, the length of its thought, and where a turn stands."""

from __future__ import annotations

import re
from typing import Literal

from toolwise.core import ToolwiseError

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


def assistant_text(transcript: str, template: Literal["qwen", "llama"]) -> str:
    """The last assistant turn of a decoded transcript with its special tokens, stripped.

    Args:
        transcript: Prompt and response.
        template: Whose chat template it was rendered with.

    Returns:
        The text after the last assistant marker and before the next end of turn; without a marker, all of
        it.

    Raises:
        ToolwiseError: If the template is not known.
    """
    markers = {
        "qwen": ("<|im_start|>assistant", "<|im_end|>"),
        "llama": ("<|start_header_id|>assistant<|end_header_id|>", "<|eot_id|>"),
    }
    if template not in markers:
        raise ToolwiseError(f"template {template!r} is not known", mend=f"use one of {sorted(markers)}")
    start, end = markers[template]
    return transcript.rpartition(start)[2].partition(end)[0].strip()
