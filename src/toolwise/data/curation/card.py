"""The data set's card: Markdown with a YAML head, as model hubs read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.data.curation.config import CurationConfig
from toolwise.data.curation.pipeline import Curated, word_statistics

UNKNOWN = "not stated"


@dataclass(frozen=True, slots=True)
class CardText:
    """What only a person can say of a data set.

    Attributes:
        title: Its name.
        license: Of the curated set, as an SPDX id where there is one.
        sources: For each source file its origin and licence, in words.
        about: What it is for.
    """

    title: str
    license: str = UNKNOWN
    sources: Sequence[str] = ()
    about: str = ""


def card(found: Curated, config: CurationConfig, text: CardText) -> str:
    """The card as Markdown."""
    import yaml

    head: dict[str, Any] = {
        "pretty_name": text.title,
        "license": text.license,
        "size_categories": [_size(found.kept)],
    }
    if found.language_method == "py3langid":
        head["language"] = [name for name in found.languages if name != "none"]
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip(),
        "---",
        "",
        f"# {text.title}",
        "",
    ]
    if text.about:
        lines += [text.about, ""]
    lines += [
        "## Splits",
        "",
        *_table(
            ("split", "rows", "groups"),
            [(name, count, found.groups[name]) for name, count in found.splits.items()],
        ),
    ]
    by = f"the field `{config.group_by}`" if config.group_by else "the row's text"
    shares = " / ".join(f"{share:g}" for share in config.shares)
    statistics = word_statistics(found.words).items()
    lines += [
        "",
        f"Rows are split by {by}: a hash of it with seed {config.seed} decides, with the shares {shares}. "
        "Rows that are added later move none of these.",
        "",
        "## Statistics",
        "",
        *_table(("words of a row", ""), [(name, _number(value)) for name, value in statistics]),
        "",
        *_table((f"language ({found.language_method})", "rows"), list(found.languages.items())),
        "",
        "## What was removed, and why",
        "",
        *_table(("reason", "rows"), [*found.dropped.items(), ("all together", sum(found.dropped.values()))]),
        "",
        f"Read: {sum(found.read.values()):,} rows; kept: {found.kept:,}. "
        "Each dropped row stands in `dropped.jsonl`.",
        "",
        *_rules(found, config),
        "",
        "## Sources and licences",
        "",
        *_table(("file", "rows"), list(found.read.items())),
        "",
        *([f"- {source}" for source in text.sources] or [f"Origin and licence of the sources: {UNKNOWN}."]),
        "",
        f"Licence of this set: {text.license}.",
    ]
    return "\n".join(lines) + "\n"


def write_card(path: Path, found: Curated, config: CurationConfig, text: CardText) -> None:
    """Write the card.

    Raises:
        ToolwiseError: The disk refuses.
    """
    try:
        path.write_text(card(found, config, text), encoding="utf-8")
    except OSError as error:
        raise ToolwiseError(
            f"cannot be written: {error.strerror}", where=str(path), mend="check disk and rights"
        ) from error


def _rules(found: Curated, config: CurationConfig) -> list[str]:
    rules = [
        "- Exact duplicates: equal words, whatever their case, spacing and punctuation; the first row stays.",
    ]
    if config.near_threshold is not None:
        rules.append(
            f"- Near duplicates: Jaccard similarity of {config.shingle}-word shingles of at least "
            f"{config.near_threshold:g} with a row that stays (MinHash with {config.permutations} "
            "permutations proposes, the shingles themselves decide)."
        )
    else:
        rules.append("- Near duplicates were not looked for.")
    if found.against:
        named = ", ".join(f"{name} ({rows:,} rows)" for name, rows in found.against.items())
        rules.append(
            f"- Overlap: {config.ngram} words in a row that stand in {named} as well, or a whole text of "
            f"theirs of {config.shortest} to {config.ngram - 1} words. {found.evaluation_texts:,} texts "
            f"were looked for; {found.evaluation_unchecked:,} shorter ones could not be."
        )
    else:
        rules.append("- Overlap with evaluation sets was not looked for: none was given.")
    longest = "any" if config.max_words is None else f"{config.max_words:,}"
    rules.append(f"- Length: {config.min_words:,} to {longest} words.")
    if config.languages:
        rules.append(f"- Language: {', '.join(config.languages)}, told by {found.language_method}.")
    return rules


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    def cell(value: object) -> str:
        return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")

    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(map(cell, row))} |" for row in rows),
    ]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _size(rows: int) -> str:
    limits = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((name for limit, name in limits if rows < limit), "n>1M")
