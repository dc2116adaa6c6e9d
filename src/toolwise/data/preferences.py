"""Preferences: a prompt with a chosen and a rejected answer, as DPO takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwise.core import Message, ToolwiseError
from toolwise.core.records import Row, read_rows
from toolwise.data.demonstrations import Demonstration
from toolwise.data.reading import read_all, unfolded
from toolwise.data.writing import write_records

_FIELDS = ("id", "prompt", "chosen", "rejected", "tools")


@dataclass(frozen=True, slots=True)
class Preference:
    """One pair of answers.

    Attributes:
        id: Unique within its file.
        prompt: OpenAI-style messages, what is asked.
        chosen: The messages that are to become likelier: the assistant's, with tool messages between them.
        rejected: Those that are to become less likely.
        tools: As in `Task`.
    """

    id: str
    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    tools: tuple[str | Mapping[str, Any], ...] = ()

    @classmethod
    def from_record(cls, record: Any) -> Preference:
        """Check a plain record; ``prompt`` may be a text, and so may the answers (TRL's two layouts).

        Raises:
            ToolwiseError: Names the field, what is wrong with it and what it takes.
        """
        if not isinstance(record, Mapping):
            raise ToolwiseError(
                f"a preference must be an object, not {type(record).__name__}",
                mend='write {"id": …, "prompt": …, "chosen": …, "rejected": …}',
            )
        if unknown := sorted(set(record) - set(_FIELDS)):
            raise ToolwiseError(f"field '{unknown[0]}' is not known", mend=f"known are {', '.join(_FIELDS)}")
        if missing := [field for field in _FIELDS[:4] if field not in record]:
            raise ToolwiseError(f"field '{missing[0]}' is missing", mend="give prompt, chosen and rejected")
        prompt = _messages(record["prompt"], "user", "prompt")
        if prompt and prompt[-1].get("role") in ("assistant", "tool"):
            raise ToolwiseError(
                f"field 'prompt' ends with a message of the role {prompt[-1]['role']}",
                mend="put it before both answers, into 'chosen' and 'rejected'",
            )
        answers = {name: _messages(record[name], "assistant", name) for name in ("chosen", "rejected")}
        for name, answer in answers.items():
            if any(message.get("role") not in ("assistant", "tool") for message in answer):
                raise ToolwiseError(
                    f"field '{name}' holds a message that is neither the assistant's nor a tool's",
                    mend="put what is asked into 'prompt'",
                )
            whole = {"id": record["id"], "messages": [*prompt, *answer], "tools": record.get("tools")}
            try:
                checked = Demonstration.from_record(whole)
            except ToolwiseError as error:
                raise ToolwiseError(f"with '{name}': {error.problem}", mend=error.mend) from error
        if answers["chosen"] == answers["rejected"]:
            raise ToolwiseError("the chosen and the rejected answer are equal", mend="remove the row")
        return cls(
            checked.id, tuple(prompt), tuple(answers["chosen"]), tuple(answers["rejected"]), checked.tools
        )

    def to_record(self) -> dict[str, Any]:
        """The plain form that `from_record` reads."""
        return {
            "id": self.id,
            "prompt": [dict(message) for message in self.prompt],
            "chosen": [dict(message) for message in self.chosen],
            "rejected": [dict(message) for message in self.rejected],
            "tools": [tool if isinstance(tool, str) else dict(tool) for tool in self.tools],
        }


def read_preferences(path: str | Path) -> list[Preference]:
    """The preferences of a ``.jsonl`` or ``.parquet`` file.

    Raises:
        ToolwiseError: The file cannot be read, or lists the rows that cannot be used: number, field, mend.
    """
    path = Path(path)
    folded = _FIELDS[1:] if path.suffix == ".parquet" else ()

    def make(row: Row) -> Preference:
        return Preference.from_record(unfolded(row.record, folded))

    return read_all(path, read_rows(path), make)


def write_preferences(path: str | Path, preferences: Sequence[Preference]) -> None:
    """Write preferences as ``.jsonl`` or ``.parquet``; `read_preferences` gives them back.

    Raises:
        ToolwiseError: The suffix is not known, one holds what JSON cannot, or the disk refuses.
    """
    write_records(Path(path), [preference.to_record() for preference in preferences])


def _messages(value: Any, role: str, field: str) -> list[Message]:
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, list | tuple) or not all(isinstance(part, Mapping) for part in value):
        raise ToolwiseError(f"field '{field}' is no list of messages", mend="give a text or messages")
    return list(value)
