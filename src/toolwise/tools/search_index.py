"""SearchIndex: BM25 over a corpus of passages (Robertson & Zaragoza 2009), by the library bm25s."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.tools.passages import PASSAGES, Passage, read_passages, write_passages

_MAX_QUERY_WORDS = 64


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
        """Index a JSONL or Parquet file; fields and errors are those of `read_passages`."""
        return cls.from_passages(read_passages(path))

    def search(self, query: str, top_k: int) -> list[Passage]:
        """The passages of `ranked`."""
        return [passage for passage, _ in self.ranked(query, top_k)]

    def ranked(self, query: str, top_k: int) -> list[tuple[Passage, float]]:
        """The `top_k` best passages that share a word with the query, with scores; ties in corpus order."""
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
        return [(self.passages[index], float(scores[index])) for index in best]

    def save(self, folder: str | Path) -> None:
        """Write the index and its corpus into `folder`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._scorer.save(str(folder), show_progress=False)
        write_passages(folder / PASSAGES, self.passages)

    @classmethod
    def load(cls, folder: str | Path) -> SearchIndex:
        """Read what `save` wrote.

        Raises:
            ToolwiseError: The folder holds no index.
        """
        import bm25s

        folder = Path(folder)
        if not (folder / PASSAGES).is_file():
            raise ToolwiseError(
                "holds no search index", where=str(folder), mend="give a folder that SearchIndex.save wrote"
            )
        passages = read_passages(folder / PASSAGES)
        return cls(
            passages, bm25s.BM25.load(str(folder), show_progress=False, allow_pickle=False, verbosity=0)
        )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
