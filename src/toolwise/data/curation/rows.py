"""Rows of any JSONL, Parquet or JSON-list file, with the texts that stand in them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.data.json_list import list_rows

USUAL_FIELDS = (
    "messages", "prompt", "conversations", "instruction", "question", "problem", "input", "context", "text",
    "content", "chosen", "rejected", "solution", "output", "response", "completion", "answer", "answers",
)  # fmt: skip
"""Fields that hold texts in the usual layouts; those that a row has are taken, in this order."""
_SPOKEN = ("content", "reasoning_content", "value", "text")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row that is to be curated.

    Attributes:
        source: Name of its file.
        number: Its line or row there, from 1.
        record: As it stands there; None if it cannot be read.
        texts: Its texts, not empty.
        problem: Why it cannot be read; empty if it can.
    """

    source: str
    number: int
    record: Any
    texts: tuple[str, ...]
    problem: str = ""

    @property
    def name(self) -> str:
        """How reports name it: file, row, and its id where it has one."""
        identity = self.record.get("id") if isinstance(self.record, Mapping) else None
        return f"{self.source}, row {self.number}" + (f" ({identity})" if identity not in (None, "") else "")

    @property
    def text(self) -> str:
        """All its texts."""
        return "\n".join(self.texts)


def read_sources(paths: Sequence[Path], fields: Sequence[str] = ()) -> Iterator[SourceRow]:
    """The rows of all files (``.jsonl``, ``.parquet``, ``.json`` with a list), one after the other.

    Args:
        paths: The files.
        fields: See `row_texts`.

    Raises:
        ToolwiseError: A file is missing, of another kind, or no row of it has one of the fields.
    """
    for path in paths:
        found = False
        for row in list_rows(path):
            texts = row_texts(row.record, fields)
            found = found or bool(texts) or bool(row.problem)
            problem = row.problem
            if not problem and not isinstance(row.record, Mapping):
                problem = f"is {type(row.record).__name__}, not an object"
            yield SourceRow(path.name, row.number, row.record, texts, problem)
        if not found:
            wanted = ", ".join(fields or USUAL_FIELDS)
            raise ToolwiseError(
                f"no row has a text in any of the fields {wanted}",
                where=str(path),
                mend="name the fields with --field",
            )


def row_texts(record: Any, fields: Sequence[str] = ()) -> tuple[str, ...]:
    """The texts of a record, in the order of its fields.

    Args:
        record: An object; anything else has none.
        fields: Whose texts count; empty: `USUAL_FIELDS`. Of messages the contents and thoughts count, not the
            roles; lists are read through.
    """
    if not isinstance(record, Mapping):
        return ()
    found: list[str] = []
    for field in fields or USUAL_FIELDS:
        if field in record:
            found.extend(_texts(record[field]))
    return tuple(text for text in found if text.strip())


def words(text: str) -> list[str]:
    """Its words as comparisons see them: NFKC, lower case, without punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key in _SPOKEN:
            if key in value:
                yield from _texts(value[key])
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
