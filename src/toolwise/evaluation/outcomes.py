"""Outcome: what one held-out question came to, with what is needed to judge its tool use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from toolwise.core import Rollout, Task, ToolwiseError, Turn


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one question under one policy.

    Attributes:
        task_id: The question.
        domain: Its domain (``time``, ``math`` …); empty if not stated.
        kind: Its kind of question; empty if not stated.
        level: On which level its boundary lies, ``type`` or ``entity``; empty if not stated.
        needs_tool: True if the answer lies beyond the policy's knowledge; None if that is not known, and
            then the question is left out of every measure of the boundary.
        correct: Was the final answer right?
        calls: Tool calls that the policy wrote, broken ones included, ≥ 0.
        calls_needed: Least number of calls that the question takes; None if not known.
        stop: Why the rollout ended.
        errors: Typed errors along the way, one for each failed call or turn.
    """

    task_id: str
    domain: str
    kind: str
    level: str
    needs_tool: bool | None
    correct: bool
    calls: int
    calls_needed: int | None = None
    stop: str = ""
    errors: tuple[str, ...] = ()


def outcome_of(task: Task, rollout: Rollout, correct: bool) -> Outcome:
    """Judge one rollout of `task`.

    Args:
        task: Its ``info`` may hold ``domain``, ``kind``, ``level``, ``needs_tool`` and ``calls_needed``;
            what is missing stays unknown and is never guessed.
        rollout: What the policy did.
        correct: Whether its answer is right, as a reward or a scorer has said.

    Raises:
        ToolwiseError: ``needs_tool`` is not a truth value, or ``calls_needed`` not a whole number ≥ 0.
    """
    info = task.info
    return Outcome(
        task_id=task.id,
        domain=_text(info.get("domain")),
        kind=_text(info.get("kind")),
        level=_text(info.get("level")),
        needs_tool=_truth(task),
        correct=bool(correct),
        calls=rollout.calls,
        calls_needed=_count(task),
        stop=str(rollout.stop),
        errors=errors_of(rollout.turns),
    )


def check_info(task: Task) -> None:
    """Refuse a task whose ``info`` `outcome_of` could not read, before it is tried.

    Raises:
        ToolwiseError: As in `outcome_of`.
    """
    _truth(task)
    _count(task)


def errors_of(turns: Sequence[Turn]) -> tuple[str, ...]:
    """The typed errors of a rollout, each once.

    A call that cannot be read shows its error in the assistant turn and again in the result the model gets
    to read; the two are one error.
    """
    found: list[str] = []
    pending: list[str | None] = []
    for turn in turns:
        if turn.role == "tool":
            results = [result.error for result in turn.results]
            found += [str(kind) for pair in zip_longest(pending, results) if (kind := pair[0] or pair[1])]
            pending = []
        else:
            found += [kind for kind in pending if kind]
            pending = [str(call.error) if call.error else None for call in turn.calls]
        if turn.error and str(turn.error) not in pending:
            found.append(str(turn.error))
    return tuple(found + [kind for kind in pending if kind])


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _truth(task: Task) -> bool | None:
    value = task.info.get("needs_tool")
    if value is not None and not isinstance(value, bool):
        raise ToolwiseError(
            f"info.needs_tool is {value!r}",
            where=f"task '{task.id}'",
            mend="write true or false, or leave it out",
        )
    return value


def _count(task: Task) -> int | None:
    value = task.info.get("calls_needed")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ToolwiseError(
            f"info.calls_needed is {value!r}", where=f"task '{task.id}'", mend="write a whole number from 0"
        )
    return value
