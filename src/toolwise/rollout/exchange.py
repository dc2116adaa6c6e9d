"""The chat messages that stand for a step with tool calls: what was said and called, and the results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from toolwise.core import ToolCall


def exchange(
    calls: Sequence[ToolCall], results: Sequence[str], said: str, place: int
) -> list[dict[str, Any]]:
    """An assistant message with its calls, and a tool message for each result.

    Ids are our own, so that a conversation reads the same on every run. Arguments that are not JSON are sent
    back as none: servers refuse them, and the result says what was wrong.

    Args:
        calls: Those of the step.
        results: The text of each one's result.
        said: What was said beside the calls.
        place: Of the step within its conversation; ids derive from it.
    """
    asked, answers = [], []
    for number, (call, result) in enumerate(zip(calls, results, strict=True)):
        # Nine letters and digits, which all servers and templates take.
        identity = f"turn{place % 1000:03d}{number % 100:02d}"
        name = call.name or "unknown"
        function = {"name": name, "arguments": json.dumps(dict(call.arguments))}
        asked.append({"id": identity, "type": "function", "function": function})
        answers.append({"role": "tool", "tool_call_id": identity, "name": name, "content": result})
    return [{"role": "assistant", "content": said, "tool_calls": asked}, *answers]
