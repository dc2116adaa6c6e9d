"""Contamination: whether a training row holds a stretch of an evaluation set, by word n-grams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toolwise.data.curation.rows import SourceRow, words


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a text shares with the evaluation sets.

    Attributes:
        evaluation: Name of the first evaluation row that it overlaps with.
        stretch: The first shared stretch, as compared: lower case, without punctuation.
        places: Places of the text at which a shared stretch begins.
    """

    evaluation: str
    stretch: str
    places: int


class EvaluationNgrams:
    """The n-grams of evaluation sets.

    Each text of an evaluation row (question, context, answer …) counts by itself. One of fewer than n words
    is looked for as a whole, down to `shortest` words.

    Args:
        ngram: Words of a stretch, n.
        shortest: Fewest words of a text that is looked for whole.

    Attributes:
        texts: Evaluation texts that can be found.
        unchecked: Texts that are too short to mean anything.
    """

    def __init__(self, ngram: int, shortest: int) -> None:
        self.ngram, self.shortest = ngram, shortest
        self.texts = self.unchecked = 0
        self._known: dict[int, dict[str, str]] = {}

    def add(self, rows: Iterable[SourceRow]) -> None:
        """Take in evaluation rows."""
        for row in rows:
            for text in row.texts:
                self._add(words(text), row.name)

    def overlap(self, texts: Sequence[str]) -> Overlap | None:
        """What the texts of a training row share with the sets; None if nothing."""
        first: tuple[str, str] | None = None
        places = 0
        for text in texts:
            found = words(text)
            for place in range(len(found)):
                for size, known in self._known.items():
                    stretch = " ".join(found[place : place + size])
                    if place + size <= len(found) and stretch in known:
                        first = first or (known[stretch], stretch)
                        places += 1
                        break
        return None if first is None else Overlap(*first, places)

    def _add(self, found: list[str], name: str) -> None:
        if len(found) < min(self.shortest, self.ngram):
            self.unchecked += 1
            return
        self.texts += 1
        size = min(self.ngram, len(found))
        known = self._known.setdefault(size, {})
        for place in range(len(found) - size + 1):
            known.setdefault(" ".join(found[place : place + size]), name)
