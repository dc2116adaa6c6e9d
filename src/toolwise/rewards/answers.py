"""Rewards for a right final answer: exact match, F1 and numeric, each with an optional format part."""

from __future__ import annotations

from collections.abc import Sequence

from toolwise.core import ErrorKind, Reward, Rollout, StopReason, Task
from toolwise.rewards.numeric import find_numbers, numeric_match, reference_numbers
from toolwise.rewards.text import exact_match, f1_score, reference_answers


def short_answer(rollout: Rollout, after: str | None) -> str | None:
    """The answer to be judged, None if there is none.

    Args:
        rollout: Its last turn holds the final text.
        after: A marker such as ``Answer:``. The rest of the line after its last occurrence is the answer,
            and a text without it gives none. None takes the whole final text.
    """
    text = rollout.answer
    if text is None or after is None:
        return text
    _, found, rest = text.rpartition(after)
    return rest.strip().partition("\n")[0].strip() if found else None


def well_formed(rollout: Rollout) -> bool:
    """Whether the rollout ended with an answer and none of its calls was malformed."""
    if rollout.answer is None or rollout.stop not in (StopReason.ANSWERED, StopReason.DEMONSTRATION):
        return False
    for turn in rollout.turns:
        if turn.role != "assistant":
            continue
        if turn.error is not None or any(call.error is ErrorKind.MALFORMED_CALL for call in turn.calls):
            return False
    return True


class AnswerReward:
    """Correctness of the final answer plus a weighted format part; subclasses judge correctness.

    Args:
        after: See `short_answer`.
        format_weight: Weight of `well_formed` in the total.
    """

    def __init__(self, after: str | None = None, format_weight: float = 0.0) -> None:
        self.after = after
        self.format_weight = format_weight

    def correctness(self, task: Task, answer: str) -> float:
        """How right `answer` is, in [0, 1].

        Raises:
            ToolwiseError: If the task has no usable reference.
        """
        raise NotImplementedError

    def check(self, task: Task) -> None:
        """Refuse a task without a usable reference; errors as in `correctness`."""
        self.correctness(task, "")

    def __call__(self, task: Task, rollouts: Sequence[Rollout]) -> list[Reward]:
        """Reward of each rollout, with the parts ``correct`` and ``format``."""
        rewards = []
        for rollout in rollouts:
            answer = short_answer(rollout, self.after)
            correct = 0.0 if answer is None else self.correctness(task, answer)
            formatted = float(well_formed(rollout))
            total = correct + self.format_weight * formatted
            rewards.append(Reward(total, {"correct": correct, "format": formatted}))
        return rewards


class ExactMatchReward(AnswerReward):
    """1 if the answer equals one of the aliases after normalisation, else 0."""

    def correctness(self, task: Task, answer: str) -> float:
        """See `AnswerReward.correctness`."""
        return float(exact_match(answer, reference_answers(task)))


class F1Reward(AnswerReward):
    """Token F1 with the nearest alias after normalisation."""

    def correctness(self, task: Task, answer: str) -> float:
        """See `AnswerReward.correctness`."""
        return f1_score(answer, reference_answers(task))


class NumericReward(AnswerReward):
    """1 if the answer's number equals a reference number.

    The number is the first one after the marker, or the last one of the text where there is no marker.

    Args:
        after: See `short_answer`.
        format_weight: Weight of `well_formed` in the total.
        tolerance: See `numeric_match`.
    """

    def __init__(self, after: str | None = None, format_weight: float = 0.0, tolerance: float = 1e-6) -> None:
        super().__init__(after, format_weight)
        self.tolerance = tolerance

    def correctness(self, task: Task, answer: str) -> float:
        """See `AnswerReward.correctness`."""
        references = reference_numbers(task)
        found = find_numbers(answer)
        if not found:
            return 0.0
        number = found[-1] if self.after is None else found[0]
        return float(any(numeric_match(number, reference, self.tolerance) for reference in references))
