"""Passages: what a search finds, and the corpora that they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from toolwise.core.records import read_rows, refuse_rows

PASSAGES = "passages.jsonl"
"""File of a saved index that holds its passages."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One entry of a corpus; `title` may be empty."""

    id: str
    title: str
    text: str

    @classmethod
    def from_contents(cls, identity: str, contents: str) -> Passage:
        """Of one text whose first line is the title, as the corpora of FlashRAG and Search-R1 have it."""
        title, _, text = contents.partition("\n")
        return cls(identity, title, text)

    @property
    def contents(self) -> str:
        """Title and text as one text, the title in its first line."""
        return f"{' '.join(self.title.split())}\n{self.text}"


class Retriever(Protocol):
    """What finds passages: an index in this process, or a server."""

    def ranked(self, query: str, top_k: int) -> list[tuple[Passage, float]]:
        """The best passages with their scores, best first, at most `top_k`.

        Raises:
            ToolError: It cannot search now; says why in words for the model.
        """
        ...


def read_passages(path: str | Path) -> list[Passage]:
    """The passages of a ``.jsonl`` or ``.parquet`` file.

    Fields are ``id``, ``text`` and, if it has any, ``title``; or ``id`` and ``contents``, whose first line is
    the title.

    Raises:
        ToolwiseError: Lists every row that cannot be used, with its number, field and mend.
    """
    path = Path(path)
    passages: list[Passage] = []
    problems: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    total = 0
    for row in read_rows(path):
        total += 1
        problem = row.problem or _passage_problem(row.record, seen)
        if problem:
            problems.append((row.number, problem))
            continue
        record, identity = row.record, str(row.record["id"])
        seen[identity] = row.number
        if "text" in record:
            passages.append(Passage(identity, record.get("title") or "", record["text"]))
        else:
            passages.append(Passage.from_contents(identity, record["contents"]))
    refuse_rows(path, problems, total)
    return passages


def write_passages(path: Path, passages: Sequence[Passage]) -> None:
    """Write a ``.jsonl`` file that `read_passages` gives back."""
    with path.open("w", encoding="utf-8") as file:
        for passage in passages:
            record = {"id": passage.id, "title": passage.title, "text": passage.text}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _passage_problem(record: Any, seen: Mapping[str, int]) -> str:
    if not isinstance(record, Mapping):
        return f'is {type(record).__name__}, not an object → write {{"id": …, "title": …, "text": …}}'
    identity = record.get("id")
    if isinstance(identity, bool) or not isinstance(identity, str | int) or identity == "":
        return "field 'id' is missing or not a string → give every passage a unique id"
    if str(identity) in seen:
        return f"field 'id' is {identity!r} as in row {seen[str(identity)]} → give every passage its own id"
    if isinstance(record.get("contents"), str) and "text" not in record:
        return ""
    if not isinstance(record.get("text"), str):
        return "field 'text' is missing or not a string → write the passage"
    if not isinstance(record.get("title"), str | None):
        return "field 'title' is not a string → write the title, or leave it out"
    return ""
