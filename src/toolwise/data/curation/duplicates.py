"""Exact and near duplicates: equal words, and MinHash candidates whose Jaccard similarity is then computed.

MinHash with banding (Broder 1997; Leskovec et al., Mining of Massive Datasets, ch. 3) only proposes pairs, by
the library rensa; each is checked on the shingles themselves: nothing is called a duplicate by chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.data.curation.rows import words


def exact_key(text: str) -> str:
    """Equal for texts that differ in case, spacing and punctuation only; a digest.

    A text without a word (only signs) is its own key, spacing aside.
    """
    plain = " ".join(words(text)) or " ".join(text.split())
    return hashlib.blake2b(plain.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def shingles(text: str, size: int) -> frozenset[str]:
    """Its runs of `size` words; the whole text where it has fewer."""
    found = words(text)
    if len(found) <= size:
        return frozenset([" ".join(found)])
    return frozenset(" ".join(found[place : place + size]) for place in range(len(found) - size + 1))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """|A ∩ B| / |A ∪ B|, in [0, 1]; 1 for two empty sets."""
    union = len(one | other)
    return len(one & other) / union if union else 1.0


def bands_for(threshold: float, permutations: int) -> int:
    """Bands of the signature, a divisor of `permutations`.

    The fewest for which a pair at the threshold is proposed with a probability of at least 0.98: of b
    bands of r = permutations / b hashes each, 1 − (1 − threshold^r)^b.
    """
    for bands in (count for count in range(1, permutations + 1) if permutations % count == 0):
        if 1 - (1 - threshold ** (permutations // bands)) ** bands >= 0.98:
            return bands
    return permutations


class NearDuplicates:
    """Finds the earlier text that a text is a near duplicate of.

    Only kept texts are compared with: a chain of small changes does not take everything with it.

    Args:
        threshold: Jaccard similarity from which two texts are near duplicates, in (0, 1].
        shingle: Words of a shingle.
        permutations: Hash functions of MinHash.

    Raises:
        ToolwiseError: rensa is not installed.
    """

    def __init__(self, threshold: float, shingle: int, permutations: int) -> None:
        try:
            import rensa
        except ImportError as error:
            raise ToolwiseError(
                "near duplicates need the package rensa",
                where="near_threshold",
                mend="pip install 'toolwise[curation]', or do without: --near 0",
            ) from error
        self.threshold, self.shingle, self.permutations = threshold, shingle, permutations
        self._make: Any = rensa.RMinHash
        bands = bands_for(threshold, permutations)
        self._index: Any = rensa.RMinHashLSH(threshold=threshold, num_perm=permutations, num_bands=bands)
        self._kept: list[frozenset[str]] = []
        self._names: list[str] = []

    def add(self, name: str, text: str) -> tuple[str, float] | None:
        """Keep the text, unless it is a near duplicate of one that was kept.

        Args:
            name: What later texts shall hear of it.
            text: Any.

        Returns:
            Name of the most similar kept text (the earlier one of two) and the similarity, or None.
        """
        own = shingles(text, self.shingle)
        sketch = self._make(self.permutations, 0)
        sketch.update(sorted(own))
        candidates: Sequence[int] = sorted(self._index.query(sketch))
        best = max(((jaccard(own, self._kept[place]), -place) for place in candidates), default=(0.0, 0))
        if best[0] >= self.threshold:
            return self._names[-best[1]], best[0]
        self._index.insert(len(self._kept), sketch)
        self._kept.append(own)
        self._names.append(name)
        return None
