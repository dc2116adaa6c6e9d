"""The ToolRL reward: one generated turn against one reference turn (arXiv 2504.13958, §3.3 and §5).

Rules and constants follow the published program, which differs from the paper in places; where it does,
``matching="paper"`` gives the paper's rule.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from toolwise.core import Reward, Rollout, Task, ToolwiseError
from toolwise.rewards.toolrl_format import TurnShape, reasoning_words
from toolwise.rewards.toolrl_matching import CallScoring, call_similarity

CALL_OPEN, CALL_CLOSE = "<tool_call>", "</tool_call>"


class ToolRLSettings(BaseModel):
    """The variants of the paper's §5; all off is the reward of its main results.

    Attributes:
        matching: ``published``: greedy in the order of the reference, names as multisets (the program);
            ``paper``: optimal assignment, names as sets.
        length: §5.1: no length reward, one with a fixed target of 512 words, or with a growing target.
        equal_max: §5.2: correctness in [−1, 1] instead of [−3, 3].
        two_stage: §5.2: before step 30 a third of the correctness, from then on half of the format.
        dynamic_scale: §5.2: the weight moves from format to correctness over 150 steps.
        finegrained: §5.3: names must be equal as lists, or give nothing.
        intermediate: §5.3: a call counts only as a whole.
        coarse: §5.3: the calls count only all together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    matching: Literal["published", "paper"] = "published"
    length: Literal["none", "fixed", "dynamic"] = "none"
    equal_max: bool = False
    two_stage: bool = False
    dynamic_scale: bool = False
    finegrained: bool = False
    intermediate: bool = False
    coarse: bool = False


@dataclass(frozen=True, slots=True)
class ToolRLScore:
    """The parts of a ToolRL reward.

    Attributes:
        format: In [0, 1] by default.
        correctness: In [−3, 3] by default.
        length: In [0, 1]; 0 unless switched on.
    """

    format: float
    correctness: float
    length: float

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return self.format + self.correctness + self.length


@dataclass(frozen=True, slots=True)
class Ranges:
    """Least and largest format and correctness reward at one step."""

    format_low: float
    format_high: float
    correct_low: float
    correct_high: float


def reward_ranges(settings: ToolRLSettings, step: int) -> Ranges:
    """The ranges of the parts at a training step, ≥ 0; two stages are applied before the dynamic scale."""
    format_low, format_high = 0.0, 1.0
    correct_high = 1.0 if settings.equal_max else 3.0
    correct_low = -correct_high
    if settings.two_stage:
        if step < 30:
            correct_low, correct_high = correct_low / 3, correct_high / 3
        else:
            format_low, format_high = format_low / 2, format_high / 2
    if settings.dynamic_scale:
        progress = step / 150
        format_low = min(-1.0, -2 + (2 + format_low) * progress)
        format_high = max(1.0, 2 - (2 - format_high) * progress)
        correct_low = max(-3.0, -2 + (correct_low + 2) * progress)
        correct_high = min(3.0, 2 + (correct_high - 2) * progress)
    return Ranges(format_low, format_high, correct_low, correct_high)


def toolrl_score(
    response: str, reference: str, settings: ToolRLSettings | None = None, step: int = 0
) -> ToolRLScore:
    """Score one turn against its reference.

    Args:
        response: The generated turn, without chat template and end tokens.
        reference: The reference turn.
        settings: The variant; None for the reward of the main results.
        step: Training step, for the scheduled variants.

    Raises:
        json.JSONDecodeError: If the reference's own calls are not one JSON value a line.
    """
    scorer = TurnScorer(reference, settings or ToolRLSettings(), step)
    return scorer.score(response)


class TurnScorer:
    """Scores turns against one reference, which is read once.

    Args:
        reference: The reference turn.
        settings: The variant.
        step: Training step, for the scheduled variants.

    Raises:
        json.JSONDecodeError: If the reference's own calls are not one JSON value a line.
    """

    def __init__(self, reference: str, settings: ToolRLSettings, step: int) -> None:
        self._settings, self._step = settings, step
        self._ranges = reward_ranges(settings, step)
        self._shape = TurnShape.of(reference)
        self._scoring = CallScoring(
            paper=settings.matching == "paper",
            exact_names=settings.finegrained,
            whole_calls=settings.intermediate,
        )
        self._expected: list[Any] | None = None
        self._block = ""
        if CALL_OPEN in reference:
            self._block = _block(reference)
            self._expected = _parse_lines(self._block)
            # Equal text means equal calls, but for NaN, which equals nothing.
            self._text_decides = self._expected == _parse_lines(self._block)

    def score(self, response: str) -> ToolRLScore:
        """The parts of the reward of a turn, given without chat template and end tokens."""
        response = response.strip()
        ranges = self._ranges
        return ToolRLScore(
            format=ranges.format_high if self._shape.fits(response) else ranges.format_low,
            correctness=self._correctness(response),
            length=_length(response, self._settings, self._step),
        )

    def _correctness(self, response: str) -> float:
        low, high = self._ranges.correct_low, self._ranges.correct_high
        if self._expected is None:
            return 0.0
        if CALL_OPEN not in response or CALL_CLOSE not in response:
            return low
        block = _block(response)
        if self._text_decides and block == self._block:
            return high
        try:
            predicted = _parse_lines(block)
            if self._expected == predicted:
                return high
            if self._settings.coarse:
                return low
            return (high - low) * call_similarity(self._expected, predicted, self._scoring) + low
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return low  # one bad line spoils all calls


_DECODE = json.JSONDecoder().decode


def _block(text: str) -> str:
    """What stands in the first call block; tags inside the thought count too."""
    return text.split(CALL_OPEN, 2)[1].split(CALL_CLOSE, 1)[0].strip()


def _parse_lines(block: str) -> list[Any]:
    """The JSON values of a call block, one a line."""
    return [_DECODE(line) for line in block.split("\n")]


def _length(response: str, settings: ToolRLSettings, step: int) -> float:
    if settings.length == "none":
        return 0.0
    target = 512.0 if settings.length == "fixed" else 384 + (640 - 384) * step / 105
    return min(1.0, round(reasoning_words(response) / target, 2))


class ToolRLReward:
    """ToolRL's reward of the first turn that the policy wrote, against ``task.answer``.

    What is scored is the turn's ``content``: its text without the end tokens of a chat template, as the
    dialect read it.

    Args:
        settings: The variant.
    """

    def __init__(self, settings: ToolRLSettings | None = None) -> None:
        self.settings = settings or ToolRLSettings()
        self._step = 0

    def begin_step(self, step: int) -> None:
        """Set the training step that the scheduled variants look at."""
        self._step = step

    def state_dict(self) -> dict[str, int]:
        """The training step."""
        return {"step": self._step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Inverse of `state_dict`."""
        self._step = state["step"]

    def __call__(self, task: Task, rollouts: Sequence[Rollout]) -> list[Reward]:
        """Rewards with the parts ``format``, ``correctness`` and ``length``.

        Raises:
            ToolwiseError: If the task's answer is no reference turn.
        """
        scorer = self._scorer(task)
        return [self._reward(scorer, rollout) for rollout in rollouts]

    def check(self, task: Task) -> None:
        """Refuse a task whose answer is no reference turn; errors as in ``__call__``."""
        self._scorer(task)

    def _reward(self, scorer: TurnScorer, rollout: Rollout) -> Reward:
        written = next((turn for turn in rollout.turns if turn.role == "assistant"), None)
        score = scorer.score("" if written is None else written.said)
        parts = {"format": score.format, "correctness": score.correctness, "length": score.length}
        return Reward(score.total, parts)

    def _scorer(self, task: Task) -> TurnScorer:
        try:
            return TurnScorer(_reference(task), self.settings, self._step)
        except json.JSONDecodeError as error:
            raise ToolwiseError(
                f"the reference turn's calls are not one JSON object a line ({error})",
                where=f"task '{task.id}', field 'answer'",
                mend="write each call on a line of its own between <tool_call> and </tool_call>",
            ) from error


def _reference(task: Task) -> str:
    if not isinstance(task.answer, str):
        raise ToolwiseError(
            f"answer is {type(task.answer).__name__}, not a reference turn",
            where=f"task '{task.id}', field 'answer'",
            mend="give the reference turn as one string with its tags",
        )
    return task.answer
