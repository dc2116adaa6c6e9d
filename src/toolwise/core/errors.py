"""Errors: what a person did wrong (an exception) and what went wrong in a rollout (a typed event)."""

from __future__ import annotations

from enum import StrEnum


class ToolwiseError(Exception):
    """A mistake that the user can mend; the command line prints it without a traceback.

    Args:
        problem: What is wrong, in one sentence.
        where: The place: file, row, field, key.
        mend: What to do about it.
    """

    def __init__(self, problem: str, *, where: str = "", mend: str = "") -> None:
        self.problem, self.where, self.mend = problem, where, mend
        parts = [f"{where}: {problem}" if where else problem]
        if mend:
            parts.append(f"→ {mend}")
        super().__init__("\n".join(parts))


class ErrorKind(StrEnum):
    """What can go wrong inside a rollout. The model gets to read it; the run goes on."""

    MALFORMED_CALL = "malformed_call"
    UNKNOWN_TOOL = "unknown_tool"
    BAD_ARGUMENTS = "bad_arguments"
    TIMEOUT = "timeout"
    TOOL_FAILURE = "tool_failure"
    TRUNCATED = "truncated"
