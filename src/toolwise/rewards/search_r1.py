"""Search-R1's reward (arXiv 2503.09516, 2505.15117): exact match, with points for a valid sequence of tags.

The functions follow the published program (``qa_em`` and ``qa_em_format``), which scores the decoded prompt
together with the response, and therefore wants two answer tags: the first pair stands in the prompt.
`SearchR1Reward` does the same in its mode ``published``, and judges only what the policy wrote in ``mended``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toolwise.core import Reward, Rollout, Task
from toolwise.rewards.text import contains_match, exact_match, reference_answers

SearchR1Mode = Literal["mended", "published"]

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
    """Why the response in a transcript is no valid sequence of tags; empty if it is one.

    The response is what follows the first assistant marker of a Qwen template; a transcript without one is
    never valid. See `response_fault`.
    """
    _, marker, response = transcript.partition(_ASSISTANT)
    return response_fault(response) if marker else "Missing assistant marker"


def response_fault(response: str) -> str:
    """Why a response is no valid sequence of tags; empty if it is one.

    Valid is think, then any number of (search, information, think), then answer; only white space stands
    between them and after them.
    """
    for tag in _TAGS:
        opening, closing = response.count(f"<{tag}>"), response.count(f"</{tag}>")
        if opening != closing:
            return f"Mismatch in {tag} tags: {opening} opening vs {closing} closing tags"
    state = "start"
    for part in _TAG.split(response):
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


@dataclass(frozen=True, slots=True)
class _Findings:
    """What is scored: whether there is an answer, it is right, the sequence valid, a gold retrieved."""

    answered: bool
    correct: bool
    valid: bool
    retrieved: bool

    def score(self, points: SearchR1Points) -> float:
        if self.correct:
            return 1.0 if self.valid else 1.0 - points.structure
        if self.valid:
            return points.structure + (points.retrieval if self.retrieved else 0.0)
        return points.final if self.answered else 0.0


def _read_transcript(transcript: str, golds: Sequence[str]) -> _Findings:
    answer = extract_answer(transcript)
    return _Findings(
        answered=answer is not None,
        correct=answer is not None and exact_match(answer, golds),
        valid=not sequence_fault(transcript),
        retrieved=retrieved_gold(transcript, golds),
    )


def search_r1_score(transcript: str, golds: Sequence[str], points: SearchR1Points) -> float:
    """Score of the published versions from v0.3 on; all points 0 is plain exact match."""
    return _read_transcript(transcript, golds).score(points)


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


class SearchR1Reward:
    """Exact match of the final answer, with points for the sequence of tags.

    Args:
        points: What format is worth; all 0 is exact match alone (v0.1, v0.2).
        mode: ``mended`` takes the answer from the policy's last turn and reads tags in what the policy wrote:
            no prompt is scored, one pair of answer tags is enough, any chat template will do, and an end
            token after the answer does no harm. ``published`` scores prompt and response as one text, as the
            program does: an unanswered rollout is read as the prompt's own example of an answer.
    """

    def __init__(self, points: SearchR1Points | None = None, mode: SearchR1Mode = "mended") -> None:
        self.points = points or SearchR1Points()
        self.mode = mode

    def check(self, task: Task) -> None:
        """Refuse a task without accepted answers; errors as in `reference_answers`."""
        reference_answers(task)

    def __call__(self, task: Task, rollouts: Sequence[Rollout]) -> list[Reward]:
        """Reward of each rollout: parts ``correct``, ``format`` (valid sequence), ``retrieved`` (a gold)."""
        golds = reference_answers(task)
        rewards = []
        for rollout in rollouts:
            if self.mode == "published":
                found = _read_transcript("".join(turn.text for turn in rollout.turns), golds)
            else:
                found = _read_rollout(rollout, golds)
            parts = {
                "correct": float(found.correct),
                "format": float(found.valid),
                "retrieved": float(found.retrieved),
            }
            rewards.append(Reward(found.score(self.points), parts))
        return rewards


def _read_rollout(rollout: Rollout, golds: Sequence[str]) -> _Findings:
    answer = rollout.answer
    # A result that no longer fitted has no tokens: the policy never saw it.
    seen = [turn for turn in rollout.turns if turn.role == "tool" and turn.results and turn.token_ids]
    return _Findings(
        answered=answer is not None,
        correct=answer is not None and exact_match(answer, golds),
        valid=not response_fault("".join(_outline(rollout))),
        retrieved=any(contains_match(turn.text, golds) for turn in seen),
    )


def _outline(rollout: Rollout) -> list[str]:
    """What the policy wrote, with an empty block for each observation, however the dialect calls it."""
    texts = []
    for turn in rollout.turns[1:]:
        if turn.role == "assistant":
            texts.append(turn.said)
        else:
            # A correction stands outside of all blocks, and so makes the sequence invalid.
            texts.append("<information></information>" if turn.results else "correction")
    return texts
