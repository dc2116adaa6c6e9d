"""CurationConfig: everything that decides which rows stay, and in which split."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CurationConfig(BaseModel):
    """How a data set is curated.

    Attributes:
        fields: Fields whose texts count as a row's text; empty: the usual ones, see `row_texts`.
        min_words: Rows of fewer words are dropped.
        max_words: Rows of more words are dropped; None keeps them.
        languages: Rows of other languages are dropped; empty keeps all. Script names (``latin``) or, with
            `identify_language`, ISO 639-1 codes (``en``).
        identify_language: By the package py3langid (97 languages); otherwise only the script is told.
        near_threshold: Jaccard similarity of word shingles from which a row is a near duplicate of an earlier
            one, in (0, 1]; None looks for none.
        shingle: Words of a shingle.
        permutations: Hash functions of MinHash; more find more of the near duplicates.
        ngram: Words that a row and an evaluation text must share in a row to count as overlap (13: Brown et
            al. 2020, arXiv 2005.14165, appendix C).
        shortest: An evaluation text of fewer than `ngram` words is looked for whole, if it has at least this
            many; shorter ones cannot be checked, and are counted.
        group_by: Field whose value keeps rows together in one split; None: the row's text.
        shares: Of train, dev and test; they add up to 1.
        seed: Of the split.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    fields: tuple[str, ...] = ()
    min_words: int = Field(default=1, ge=1)
    max_words: int | None = Field(default=None, ge=1)
    languages: tuple[str, ...] = ()
    identify_language: bool = False
    near_threshold: float | None = Field(default=0.8, gt=0, le=1)
    shingle: int = Field(default=3, ge=1)
    permutations: int = Field(default=128, ge=16, le=1024)
    ngram: int = Field(default=13, ge=2)
    shortest: int = Field(default=5, ge=2)
    group_by: str | None = Field(default=None, min_length=1)
    shares: tuple[float, float, float] = (0.9, 0.05, 0.05)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> CurationConfig:
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(f"the shares {self.shares} must be at least 0 and add up to 1")
        if self.max_words is not None and self.max_words < self.min_words:
            raise ValueError(f"max_words {self.max_words} is less than min_words {self.min_words}")
        return self
