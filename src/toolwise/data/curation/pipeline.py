"""The curation of a data set: what stays, what goes and why, split and described."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.data.curation.config import CurationConfig
from toolwise.data.curation.contamination import EvaluationNgrams
from toolwise.data.curation.duplicates import NearDuplicates, exact_key
from toolwise.data.curation.language import identify
from toolwise.data.curation.rows import SourceRow, read_sources, words
from toolwise.data.curation.split import SPLITS, assign_split
from toolwise.data.writing import write_records

REASONS = (
    "cannot be read",
    "has no text",
    "has no group",
    "too short",
    "too long",
    "another language",
    "exact duplicate",
    "overlaps with an evaluation set",
    "near duplicate",
)
"""Why a row is dropped, in the order in which it is looked at."""


@dataclass(frozen=True, slots=True)
class Curated:
    """What a curation came to.

    Attributes:
        read: Rows of each source file.
        dropped: Rows by reason; reasons that dropped none are there with 0.
        splits: Rows of train, dev and test.
        groups: Groups of train, dev and test.
        words: Words of each row that stays, in order.
        languages: Rows that stay, by language or script.
        language_method: What told the languages.
        evaluation_texts: Texts of evaluation sets that were looked for.
        evaluation_unchecked: Texts of theirs that are too short to be looked for.
        against: Rows of each evaluation file.
    """

    read: Mapping[str, int]
    dropped: Mapping[str, int]
    splits: Mapping[str, int]
    groups: Mapping[str, int]
    words: Sequence[int] = field(repr=False)
    languages: Mapping[str, int]
    language_method: str
    evaluation_texts: int
    evaluation_unchecked: int
    against: Mapping[str, int]

    @property
    def kept(self) -> int:
        """Rows that stay."""
        return sum(self.splits.values())

    def to_record(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return {
            "read": dict(self.read),
            "dropped": dict(self.dropped),
            "kept": self.kept,
            "splits": dict(self.splits),
            "groups": dict(self.groups),
            "words": word_statistics(self.words),
            "languages": dict(self.languages),
            "language_method": self.language_method,
            "against": dict(self.against),
            "evaluation_texts": self.evaluation_texts,
            "evaluation_unchecked": self.evaluation_unchecked,
        }


def curate(
    paths: Sequence[Path],
    out: Path,
    config: CurationConfig,
    *,
    against: Sequence[Path] = (),
    suffix: str = ".jsonl",
) -> Curated:
    """Curate files into ``train``, ``dev`` and ``test``; records are written as they were read.

    Also writes ``dropped.jsonl`` (every dropped row: where it stood, why, and what was found) and
    ``report.json``. The card is `write_card`'s.

    Args:
        paths: The files, in order of preference: of duplicates the first one stays.
        out: The folder to write to.
        config: What decides.
        against: Evaluation sets that must not be in the data.
        suffix: ``.jsonl`` or ``.parquet``, of the splits.

    Raises:
        ToolwiseError: A file cannot be used, a package is missing, or no row stays.
    """
    _check_names([*paths, *against])
    evaluation = EvaluationNgrams(config.ngram, config.shortest)
    against_rows: Counter[str] = Counter()
    for path in against:
        rows = list(read_sources([path], ()))
        against_rows[path.name] = len(rows)
        if broken := [row for row in rows if row.problem]:
            raise ToolwiseError(
                f"{len(broken)} rows cannot be read: {broken[0].problem}",
                where=f"{path}, row {broken[0].number}",
                mend="mend the file: what cannot be read cannot be looked for",
            )
        evaluation.add(rows)
    sift = _Sift(config, evaluation)
    read: Counter[str] = Counter({path.name: 0 for path in paths})
    kept: dict[str, list[Any]] = {name: [] for name in SPLITS}
    groups: dict[str, set[str]] = {name: set() for name in SPLITS}
    lost: list[dict[str, Any]] = []
    for row in read_sources(paths, config.fields):
        read[row.source] += 1
        fault = sift.fault(row)
        if fault is not None:
            lost.append({"row": row.name, "reason": fault[0], "detail": fault[1]})
            continue
        group = str(_group(row, config))
        split = assign_split(group, config.shares, config.seed)
        kept[split].append(dict(row.record))
        groups[split].add(group)
    found = Curated(
        read=dict(read),
        dropped={reason: sum(row["reason"] == reason for row in lost) for reason in REASONS},
        splits={name: len(rows) for name, rows in kept.items()},
        groups={name: len(names) for name, names in groups.items()},
        words=tuple(sift.words),
        languages=dict(sorted(sift.languages.items(), key=lambda item: (-item[1], item[0]))),
        language_method=sift.guess.method,
        evaluation_texts=evaluation.texts,
        evaluation_unchecked=evaluation.unchecked,
        against=dict(against_rows),
    )
    write_records(out / "dropped.jsonl", lost)
    if not found.kept:
        named = "; ".join(f"{count} × {reason}" for reason, count in found.dropped.items() if count)
        raise ToolwiseError(
            f"no row stays: {named or 'the files have no rows'}",
            where=", ".join(str(path) for path in paths),
            mend=f"look into {out / 'dropped.jsonl'}",
        )
    for split, rows_of in kept.items():
        write_records(out / f"{split}{suffix}", rows_of)
    (out / "report.json").write_text(
        json.dumps(found.to_record(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    return found


class _Sift:
    """Looks at rows one by one; what stays is remembered."""

    def __init__(self, config: CurationConfig, evaluation: EvaluationNgrams) -> None:
        self.config, self.evaluation = config, evaluation
        self.guess = identify(config.identify_language)
        self.words: list[int] = []
        self.languages: Counter[str] = Counter()
        self._exact: dict[str, str] = {}
        self._near = (
            None
            if config.near_threshold is None
            else NearDuplicates(config.near_threshold, config.shingle, config.permutations)
        )

    def fault(self, row: SourceRow) -> tuple[str, str] | None:
        """Reason and detail; None if the row stays."""
        if row.problem:
            return "cannot be read", row.problem
        if not row.texts:
            return "has no text", ""
        if _group(row, self.config) is None:
            return "has no group", f"field '{self.config.group_by}' is missing, or no text or number"
        text = row.text
        count = len(words(text))
        if count < self.config.min_words:
            return "too short", f"{count} words"
        if self.config.max_words is not None and count > self.config.max_words:
            return "too long", f"{count} words"
        language = self.guess.of(text)
        if self.config.languages and language not in self.config.languages:
            return "another language", language
        key = exact_key(text)
        if key in self._exact:
            return "exact duplicate", f"of {self._exact[key]}"
        shared = self.evaluation.overlap(row.texts)
        if shared is not None:
            places = "1 place" if shared.places == 1 else f"{shared.places} places"
            return (
                "overlaps with an evaluation set",
                f"{shared.evaluation}: '{shared.stretch}' ({places})",
            )
        near = None if self._near is None else self._near.add(row.name, text)
        if near is not None:
            return "near duplicate", f"of {near[0]} (Jaccard {near[1]:.3f})"
        self._exact[key] = row.name
        self.words.append(count)
        self.languages[language] += 1
        return None


def word_statistics(counts: Sequence[int]) -> dict[str, float]:
    """Total, mean, least, most, and quantiles (by the nearest rank) of numbers of words."""
    if not counts:
        return {}
    order = sorted(counts)
    ranks = {f"p{share}": order[max(0, -(-share * len(order) // 100) - 1)] for share in (5, 50, 95)}
    return {
        "total": sum(order),
        "mean": sum(order) / len(order),
        "min": order[0],
        **ranks,
        "max": order[-1],
    }


def _group(row: SourceRow, config: CurationConfig) -> str | None:
    if config.group_by is None:
        return exact_key(row.text)
    value = row.record.get(config.group_by)
    for part in ("info", "extra_info"):
        inner = row.record.get(part)
        if value is None and isinstance(inner, Mapping):
            value = inner.get(config.group_by)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value)


def _check_names(paths: Sequence[Path]) -> None:
    for twice in _twice(str(path.resolve()) for path in paths):
        raise ToolwiseError("is named twice", where=twice, mend="name each file once")


def _twice(names: Iterator[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
