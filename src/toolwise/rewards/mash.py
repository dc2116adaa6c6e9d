"""MASH: exact match times a price for each search (arXiv 2510.01152)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from toolwise.core import Reward, RewardFunction, Rollout, Task, scorable
from toolwise.rewards.minimum_calls import MinimumCalls
from toolwise.rewards.otc import tool_coefficient
from toolwise.rewards.text import f1_score, normalize_answer

Penalty = Literal["exp", "otc", "otc_strict", "linear"]


def search_penalty(
    searches: int, minimum: int, *, penalty: Penalty, decay: float = 0.7, max_searches: int = 5
) -> float:
    """Factor in [0, 1] of a correct rollout.

    ``exp``: λ^(m − n); ``otc``: OTC's coefficient with c = max_searches; ``otc_strict``: the same, but if
    n = 0 only rollouts without search keep anything; ``linear``: max(1 − m/(max_searches + 1), 0).

    Args:
        searches: m ≥ n.
        minimum: n, least number of searches of a correct rollout.
        penalty: Which rule.
        decay: λ in (0, 1].
        max_searches: Most searches of a rollout, > 0.
    """
    if penalty == "exp":
        return math.pow(decay, searches - minimum)
    if penalty == "linear":
        return max(1 - searches / (max_searches + 1), 0.0)
    if penalty == "otc_strict" and minimum == 0:
        return float(searches == 0)
    return tool_coefficient(searches, minimum, max_searches)


class MashReward:
    """r_correct times `search_penalty` for correct rollouts, 0 for wrong ones.

    n is the least number of calls among correct rollouts of the task, of this group and of all before.

    Args:
        correctness: Gives r_correct, as its part ``correct`` if it has one, else as its total; above 0
            counts as correct.
        penalty: See `search_penalty`.
        decay: See `search_penalty`.
        max_searches: See `search_penalty`.
    """

    def __init__(
        self,
        correctness: RewardFunction,
        penalty: Penalty = "exp",
        decay: float = 0.7,
        max_searches: int = 5,
    ) -> None:
        self.correctness = correctness
        self.penalty: Penalty = penalty
        self.decay, self.max_searches = decay, max_searches
        self._known = MinimumCalls()

    def check(self, task: Task) -> None:
        """Let the correctness reward refuse a task that it cannot score."""
        scorable(self.correctness)(task)

    def __call__(self, task: Task, rollouts: Sequence[Rollout]) -> list[Reward]:
        """Rewards of one group, with the parts ``correct``, ``tool`` and ``calls``."""
        judged = self.correctness(task, rollouts)
        correct = [reward.parts.get("correct", reward.total) for reward in judged]
        calls = [rollout.calls for rollout in rollouts]
        minimum = self._known.lower(
            task.id, [m for m, right in zip(calls, correct, strict=True) if right > 0]
        )
        rewards = []
        for m, right in zip(calls, correct, strict=True):
            factor = 0.0
            if right > 0 and minimum is not None:
                factor = search_penalty(
                    m, minimum, penalty=self.penalty, decay=self.decay, max_searches=self.max_searches
                )
            parts = {"correct": right, "tool": factor, "calls": float(m)}
            rewards.append(Reward(right * factor, parts))
        return rewards

    def state_dict(self) -> dict[str, Any]:
        """The running minima."""
        return {"minima": self._known.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self._known.load_state_dict(state["minima"])


def tag_errors(text: str, documents_a_search: int | None) -> list[str]:
    """What is wrong with the tags of a whole rollout; empty if nothing is.

    Args:
        text: Everything after the prompt.
        documents_a_search: Documents that each search returns: think tags are then asked for, and document
            tags that no search accounts for are an error. None is the relaxed check without both.
    """
    count = {
        tag: (text.count(f"<{tag}>"), text.count(f"</{tag}>"))
        for tag in ("think", "search", "document", "answer")
    }
    errors = []
    if documents_a_search is not None:
        if count["think"][0] != count["think"][1]:
            errors.append("mismatched_think")
        elif count["think"][0] == 0:
            errors.append("no_think_tag")
    if count["search"][0] != count["search"][1]:
        errors.append("mismatched_search")
    if documents_a_search is not None:
        expected = count["search"][0] * documents_a_search
        if count["document"] != (expected, expected):
            errors.append("hallucinate_docs")
    if count["answer"][0] != count["answer"][1]:
        errors.append("mismatched_answer")
    elif count["answer"][0] != 1:
        errors.append("no_answer_tag")
    return errors


def hotpot_f1(prediction: str, golds: Sequence[str]) -> float:
    """F1 as in HotpotQA: a yes, no or noanswer matches only itself, and nothing matches nothing."""
    closed = {"yes", "no", "noanswer"}
    normal = normalize_answer(prediction)
    scores = [0.0]
    for gold in golds:
        theirs = normalize_answer(gold)
        if normal and (normal == theirs or not closed & {normal, theirs}):
            scores.append(f1_score(normal, [theirs]))
    return max(scores)
