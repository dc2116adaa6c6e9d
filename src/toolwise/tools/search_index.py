"""SearchIndex: BM25 over a corpus of passages (Robertson & Zaragoza 2009), by the library bm25s."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.core.records import read_rows, refuse_rows

_PASSAGES = "passages.jsonl"
_MAX_QUERY_WORDS = 64


@dataclass(frozen=True, slots=True)
class Passage:
    """One entry of a corpus; `title` may be empty."""

    id: str
    title: str
    text: str


class SearchIndex:
    """A BM25 index. Make one with `from_texts`, `from_file` or `load`.

    Attributes:
        passages: The corpus, in the order given.
    """

    def __init__(self, passages: Sequence[Passage], scorer: Any) -> None:
        self.passages = tuple(passages)
        self._scorer = scorer

    @classmethod
    def from_passages(cls, passages: Sequence[Passage]) -> SearchIndex:
        """Index passages; title and text are searched together.

        Raises:
            ToolwiseError: There is no passage, or none has a word.
        """
        import bm25s

        words = [_words(f"{passage.title} {passage.text}") for passage in passages]
        if not any(words):
            raise ToolwiseError("the corpus has no words", mend="give at least one passage with text")
        scorer = bm25s.BM25(backend="numpy")
        scorer.index(words, show_progress=False)
        return cls(passages, scorer)

    @classmethod
    def from_texts(cls, texts: Sequence[str], titles: Sequence[str] | None = None) -> SearchIndex:
        """Index plain texts; their ids are their positions."""
        named = titles if titles is not None else [""] * len(texts)
        pairs = enumerate(zip(named, texts, strict=True))
        return cls.from_passages([Passage(str(index), title, text) for index, (title, text) in pairs])

    @classmethod
    def from_file(cls, path: str | Path) -> SearchIndex:
        """Index a JSONL or Parquet file with the fields ``id``, ``text`` and, if it has any, ``title``.

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
            record = row.record
            seen[str(record["id"])] = row.number
            passages.append(Passage(str(record["id"]), record.get("title") or "", record["text"]))
        refuse_rows(path, problems, total)
        return cls.from_passages(passages)

    def search(self, query: str, top_k: int) -> list[Passage]:
        """The `top_k` best passages that share a word with the query; ties in the order of the corpus."""
        import numpy as np

        known = self._scorer.get_tokens_ids(_words(query)[:_MAX_QUERY_WORDS])
        if not known or top_k < 1:
            return []
        scores = self._scorer.get_scores_from_ids(known)
        found = np.flatnonzero(scores > 0)
        if len(found) > top_k:
            floor = np.partition(scores[found], len(found) - top_k)[len(found) - top_k]
            found = found[scores[found] >= floor]
        best = found[np.argsort(-scores[found], kind="stable")][:top_k]
        return [self.passages[index] for index in best]

    def save(self, folder: str | Path) -> None:
        """Write the index and its corpus into `folder`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._scorer.save(str(folder), show_progress=False)
        with (folder / _PASSAGES).open("w", encoding="utf-8") as file:
            for passage in self.passages:
                record = {"id": passage.id, "title": passage.title, "text": passage.text}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> SearchIndex:
        """Read what `save` wrote.

        Raises:
            ToolwiseError: The folder holds no index.
        """
        import bm25s

        folder = Path(folder)
        if not (folder / _PASSAGES).is_file():
            raise ToolwiseError(
                "holds no search index", where=str(folder), mend="give a folder that SearchIndex.save wrote"
            )
        passages = [Passage(**row.record) for row in read_rows(folder / _PASSAGES)]
        return cls(
            passages, bm25s.BM25.load(str(folder), show_progress=False, allow_pickle=False, verbosity=0)
        )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


def _passage_problem(record: Any, seen: Mapping[str, int]) -> str:
    if not isinstance(record, Mapping):
        return f'is {type(record).__name__}, not an object → write {{"id": …, "title": …, "text": …}}'
    identity = record.get("id")
    if isinstance(identity, bool) or not isinstance(identity, str | int) or identity == "":
        return "field 'id' is missing or not a string → give every passage a unique id"
    if str(identity) in seen:
        return f"field 'id' is {identity!r} as in row {seen[str(identity)]} → give every passage its own id"
    if not isinstance(record.get("text"), str):
        return "field 'text' is missing or not a string → write the passage"
    if not isinstance(record.get("title"), str | None):
        return "field 'title' is not a string → write the title, or leave it out"
    return ""
