"""Search-R1's reward: exact match of the last answer tag, with points for a valid sequence of tags.

Follows the published program (``qa_em`` and ``qa_em_format``), which scores the decoded prompt together
with the response, and therefore wants two answer tags: the first pair stands in the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from toolwise.rewards.text import contains_match, exact_match

_TAGS = ("think", "search", "information", "answer")
_TAG = re.compile(r"(</?(?:think|search|information|answer)>)")
_ASSISTANT = "<|im_start|>assistant"
_STEPS = {
    ("start", "<think>"): "in_think",
    ("information", "<think>"): "in_think",
    ("in_think", "</think>"): "after_think",
    ("after_think", "<search>"): "in_search",
    ("in_search", "</search>"): "after_search",
    ("after_search", "<information>"): "in_information",
    ("in_information", "</information>"): "information",
    ("after_think", "<answer>"): "in_answer",
    ("in_answer", "</answer>"): "end",
}
"""State and tag → next state."""


def extract_answer(transcript: str) -> str | None:
    """Content of the last answer tag of prompt and response, stripped; None if there are fewer than two."""
    found = re.findall(r"<answer>(.*?)</answer>", transcript, re.DOTALL)
    return str(found[-1]).strip() if len(found) > 1 else None


def sequence_fault(transcript: str) -> str:
    """Why the response is no valid sequence of tags; empty if it is one.

    Valid is think, then any number of (search, information, think), then answer; only white space stands
    between them and after them. The response is what follows the first assistant marker of a Qwen template.
    """
    _, marker, content = transcript.partition(_ASSISTANT)
    if not marker:
        return "Missing assistant marker"
    for tag in _TAGS:
        opening, closing = content.count(f"<{tag}>"), content.count(f"</{tag}>")
        if opening != closing:
            return f"Mismatch in {tag} tags: {opening} opening vs {closing} closing tags"
    state = "start"
    for part in _TAG.split(content):
        if not part.strip():
            continue
        if _TAG.fullmatch(part):
            following = _STEPS.get((state, part))
            if following is None:
                return f"Unexpected tag {part} in state {state}"
            state = following
        elif state == "end":
            return f"Unexpected content in state {state}"
        elif not state.startswith("in_"):
            return f"Unexpected content '{part.strip()}' between tags (state: {state})"
    return "" if state == "end" else f"Incomplete sequence, ended in state {state}"


def retrieved_gold(transcript: str, golds: Sequence[str]) -> bool:
    """Whether a gold answer, normalised, is a substring of some normalised information block."""
    blocks = re.findall(r"<information>(.*?)</information>", transcript, re.DOTALL)
    return any(contains_match(block.strip(), golds) for block in blocks)


@dataclass(frozen=True, slots=True)
class SearchR1Points:
    """What format is worth beside a right answer, which is worth 1.

    Attributes:
        structure: For a valid sequence with a wrong answer; taken off a right answer without one.
        final: For an answer that is wrong, without a valid sequence.
        retrieval: Added to `structure` if a gold answer was retrieved.
    """

    structure: float = 0.0
    final: float = 0.0
    retrieval: float = 0.0


def search_r1_score(transcript: str, golds: Sequence[str], points: SearchR1Points) -> float:
    """Score of the published versions from v0.3 on; all points 0 is plain exact match."""
    valid = not sequence_fault(transcript)
    answer = extract_answer(transcript)
    if answer is not None and exact_match(answer, golds):
        return 1.0 if valid else 1.0 - points.structure
    if valid:
        found = retrieved_gold(transcript, golds)
        return points.structure + (points.retrieval if found else 0.0)
    return 0.0 if answer is None else points.final


def search_r1_match(
    transcript: str, golds: Sequence[str], *, wrong: float = 0.0, substring: bool = False
) -> float:
    """Score of v0.1 and v0.2: 1 for a right answer, `wrong` for a wrong one, 0 for none.

    Args:
        transcript: Prompt and response.
        golds: Accepted answers.
        wrong: Score of an answer that does not match.
        substring: Whether it is enough that the answer contains a gold.
    """
    answer = extract_answer(transcript)
    if answer is None:
        return 0.0
    match = contains_match if substring else exact_match
    return 1.0 if match(answer, golds) else wrong
