"""Instruction data: Alpaca's layout, OpenOrca's, or conversations of one turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.data.json_list import list_rows
from toolwise.data.reading import read_some, whole_rows
from toolwise.data.stage import listed


@dataclass(frozen=True, slots=True)
class InstructionRow:
    """One row of instruction data.

    Attributes:
        id: Unique within its file.
        query: q, the instruction and its input.
        answer: a, as it stands there.
        system: A system message; empty if there is none.
    """

    id: str
    query: str
    answer: str
    system: str = ""

    def to_record(self) -> dict[str, Any]:
        """Plain form: the first row of the pipeline."""
        return {"id": self.id, "query": self.query, "answer": self.answer, "system": self.system}


def instruction_rows(path: Path, limit: int | None = None) -> tuple[list[InstructionRow], Counter[str]]:
    """The rows of a ``.jsonl``, ``.parquet`` or ``.json`` file, and how many were left out for which reason.

    Read are ``instruction``, ``input`` and ``output`` (Alpaca); ``system_prompt``, ``question`` and
    ``response`` (OpenOrca); or ``messages`` of one user and one assistant turn.

    Args:
        path: The file.
        limit: Most rows, from the start of the file.

    Raises:
        ToolwiseError: The file cannot be read, a row of it is broken, or it gives no row.
    """
    found, left_out = read_some(whole_rows(path, list_rows(path)), _read, limit)
    if not found:
        raise ToolwiseError(
            f"gives no row: {listed(left_out) or 'it has no rows'}",
            where=str(path),
            mend="give instruction, input and output; system_prompt, question and response; or messages",
        )
    return found, left_out


def _read(number: int, record: Any) -> InstructionRow | str:
    if not isinstance(record, Mapping):
        return "it is no object"
    identity = record.get("id")
    named = isinstance(identity, str | int) and not isinstance(identity, bool) and identity != ""
    name = str(identity) if named else f"row-{number}"
    if "messages" in record:
        return _conversation(name, record["messages"])
    if "instruction" in record:
        instruction, given = _text(record, "instruction"), _text(record, "input")
        query, answer, system = f"{instruction}\n\n{given}".strip(), _text(record, "output"), ""
    else:
        query, answer = _text(record, "question"), _text(record, "response")
        system = _text(record, "system_prompt")
    if not query:
        return "it has no instruction"
    return InstructionRow(name, query, answer, system) if answer else "it has no answer"


def _conversation(name: str, messages: Any) -> InstructionRow | str:
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        return "its messages are no list of messages"
    roles = [message.get("role") for message in messages]
    if roles[-2:] != ["user", "assistant"] or roles[:-2] not in ([], ["system"]):
        return "it is no conversation of one turn"
    system = _text(messages[0], "content") if roles[0] == "system" else ""
    query, answer = _text(messages[-2], "content"), _text(messages[-1], "content")
    return InstructionRow(name, query, answer, system) if query and answer else "it has no answer"


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    return value.strip() if isinstance(value, str) else ""
