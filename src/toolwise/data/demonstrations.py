"""Demonstrations: whole conversations for supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwise.core import Message, Task, ToolwiseError
from toolwise.core.records import Row, read_rows
from toolwise.data.formats import gsm8k_conversation, rlla_conversation
from toolwise.data.json_list import list_rows
from toolwise.data.messages import check_calls, check_keys
from toolwise.data.reading import read_all, unfolded
from toolwise.data.tasks import TaskFormat
from toolwise.data.writing import write_records


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One conversation to learn from.

    Attributes:
        id: Unique within its file.
        messages: OpenAI-style: first what is asked, then assistant messages (``content``,
            ``reasoning_content``, ``tool_calls``) and the tool messages that answer their calls.
        tools: As in `Task`.
        part: Part of the data that it belongs to, for a loss whose parts have weights of their own.
    """

    id: str
    messages: tuple[Message, ...]
    tools: tuple[str | Mapping[str, Any], ...] = ()
    part: str = ""

    @classmethod
    def from_record(cls, record: Any) -> Demonstration:
        """Check a plain record and make a Demonstration of it.

        Raises:
            ToolwiseError: Names the field, what is wrong with it and what it takes.
        """
        if isinstance(record, Mapping):
            if unknown := sorted(set(record) - {"id", "messages", "tools", "part"}):
                raise ToolwiseError(
                    f"field '{unknown[0]}' is not known", mend="known are id, messages, tools and part"
                )
            if "messages" not in record:
                raise ToolwiseError("field 'messages' is missing", mend="give the conversation, as a list")
            if isinstance(record["messages"], str):
                raise ToolwiseError("field 'messages' is a string", mend="give a list of messages")
            if not isinstance(record.get("part"), str | None):
                raise ToolwiseError("field 'part' is not a string", mend="give the part's name")
        as_task = (
            {"prompt" if key == "messages" else key: record[key] for key in record if key != "part"}
            if isinstance(record, Mapping)
            else record
        )
        try:
            task = Task.from_record(as_task)
        except ToolwiseError as error:
            problem = error.problem.replace("'prompt", "'messages")
            raise ToolwiseError(problem, mend=error.mend) from error
        _check_messages(task.prompt)
        return cls(task.id, task.prompt, task.tools, record.get("part") or "")

    def to_record(self) -> dict[str, Any]:
        """The plain form that `from_record` reads."""
        return {
            "id": self.id,
            "messages": [dict(message) for message in self.messages],
            "tools": [tool if isinstance(tool, str) else dict(tool) for tool in self.tools],
            **({"part": self.part} if self.part else {}),
        }


def read_demonstrations(path: str | Path, format: TaskFormat | None = None) -> list[Demonstration]:
    """The demonstrations of a file.

    Args:
        path: ``.jsonl`` or ``.parquet`` with the fields of `Demonstration`; in Parquet, ``messages`` and
            ``tools`` may be nested columns or JSON text.
        format: The file is in a published format instead: GSM8K's (each worked-out step becomes a call of the
            calculator), or that of ToolRL's data.

    Raises:
        ToolwiseError: The format has no turns, the file cannot be read, or lists the rows that cannot be
            used: number, field, mend.
    """
    path = Path(path)
    if format == "gsm8k":
        return read_all(path, read_rows(path), lambda row: Demonstration(*gsm8k_conversation(row)))
    if format == "rlla":
        return read_all(path, list_rows(path), lambda row: Demonstration(*rlla_conversation(row)))
    if format is not None:
        raise ToolwiseError(
            f"the format '{format}' has questions and answers, but no turns to imitate",
            where=str(path),
            mend="train on it with reinforcement learning, or give whole conversations",
        )
    folded = ("messages", "tools") if path.suffix == ".parquet" else ()

    def make(row: Row) -> Demonstration:
        return Demonstration.from_record(unfolded(row.record, folded))

    return read_all(path, read_rows(path), make)


def write_demonstrations(path: str | Path, demonstrations: Sequence[Demonstration]) -> None:
    """Write demonstrations as ``.jsonl`` or ``.parquet``; `read_demonstrations` gives them back.

    Raises:
        ToolwiseError: The suffix is not known, one holds what JSON cannot, or the disk refuses.
    """
    # Parquet has the same columns in every row.
    parts = any(demonstration.part for demonstration in demonstrations)
    records = [
        demonstration.to_record() | ({"part": demonstration.part} if parts else {})
        for demonstration in demonstrations
    ]
    write_records(Path(path), records)


def _check_messages(messages: Sequence[Message]) -> None:
    roles = [message["role"] for message in messages]
    if "assistant" not in roles:
        raise ToolwiseError("field 'messages' has no assistant message", mend="add what is to be learned")
    if roles[0] in ("assistant", "tool"):
        raise ToolwiseError(
            f"field 'messages' begins with the role {roles[0]}", mend="begin with a system or user message"
        )
    for index, message in enumerate(messages):
        field = f"messages[{index}]"
        check_keys(message, field)
        check_calls(message, field)
        thought = message.get("reasoning_content")
        if not isinstance(thought, str | None):
            raise ToolwiseError(
                f"field '{field}.reasoning_content' is not a string", mend="write the thought"
            )
        if roles[index] == "assistant" and not (
            message.get("content") or message.get("tool_calls") or thought
        ):
            raise ToolwiseError(
                f"field '{field}' is an empty assistant message", mend="give it content or calls"
            )
        if roles[index] == "tool" and roles[index - 1] not in ("assistant", "tool"):
            raise ToolwiseError(
                f"field '{field}' is a tool result without a call before it",
                mend="put the assistant message with its tool_calls before it",
            )
