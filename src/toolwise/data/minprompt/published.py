"""Questions as the release makes them (MinPrompt 72b97dd): a wh-phrase and a swap."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

WH: Mapping[str, str] = {
    "CARDINAL": "how many",
    "DATE": "when did",
    "EVENT": "what event",
    "FAC": "what is",
    "GPE": "in what",
    "LANGUAGE": "what language",
    "LAW": "what law",
    "LOC": "what is",
    "MONEY": "how much",
    "NORP": "what is",
    "ORDINAL": "where does",
    "ORG": "what is",
    "PERCENT": "what percentage",
    "PERSON": "who was",
    "PRODUCT": "what was",
    "QUANTITY": "how many",
    "TIME": "how long",
    "WORK_OF_ART": "what was",
}
"""The one phrase that is live for each label in the released table; other labels take "what"."""
Template = Literal["wba", "awb"]


def published_question(
    sentence: str, answer: str, label: str, *, template: Template = "wba", double_mark: bool = False
) -> str:
    """A question without grammar, as the release makes them.

    Args:
        sentence: Where the answer stands; if it stands nowhere as a word of its own, or the sentence has a
            line
            break before its end, the sentence stays a statement.
        answer: The entity.
        label: Its type.
        template: ``wba``: wh-phrase, what follows the answer, what stands before it. ``awb``: what stands
            before
            it, wh-phrase, what follows, at every occurrence; the release has it and does not use it.
        double_mark: End with "??" where the text ends in another mark, as the release does under Python 3.7
            and later.
    """
    wh = WH.get(label, "what")
    padded = f" {sentence} "
    quoted = re.escape(answer)
    if template == "wba":
        swapped = re.sub(
            rf"^(.*?)\W+{quoted}\W+(.*?)\W*$", lambda found: f"{wh} {found[2]}, {found[1]}", padded, count=1
        )
    else:
        swapped = re.sub(rf"\W+{quoted}\W+", f", {wh} ", padded)
        swapped = re.sub(r"^\W+", "", swapped) if swapped != padded else swapped
    text = " ".join(swapped.split())
    text = text[:1].upper() + text[1:]
    return re.sub(r"\W*$", "?", text, count=0 if double_mark else 1)
