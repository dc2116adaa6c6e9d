"""Configuration of rewards: a discriminated union, and what builds the reward function from it."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from toolwise.core import RewardFunction, load_target
from toolwise.core.targets import TARGET_PATTERN, check_arguments, importable_callable, made_from
from toolwise.rewards.answers import ExactMatchReward, F1Reward, NumericReward
from toolwise.rewards.mash import MashReward, Penalty
from toolwise.rewards.otc import OTCReward, UnknownMinimum
from toolwise.rewards.search_r1 import SearchR1Mode, SearchR1Points, SearchR1Reward
from toolwise.rewards.toolrl import ToolRLReward, ToolRLSettings


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AnswerRewardConfig(_Config):
    """What the rewards for a right answer share.

    Attributes:
        after: Marker in front of the short answer, such as ``Answer:``; None judges the whole final text
            (for numbers: its last number).
        format_weight: Weight of the format part (answered, no malformed call) in the total, ≥ 0.
    """

    after: str | None = Field(default=None, min_length=1)
    format_weight: float = Field(default=0.0, ge=0)


class ExactMatchConfig(AnswerRewardConfig):
    """See `ExactMatchReward`."""

    type: Literal["exact_match"] = "exact_match"


class F1Config(AnswerRewardConfig):
    """See `F1Reward`."""

    type: Literal["f1"] = "f1"


class NumericConfig(AnswerRewardConfig):
    """See `NumericReward`.

    Attributes:
        tolerance: Relative above 1 and absolute below, ≥ 0.
    """

    type: Literal["numeric"] = "numeric"
    tolerance: float = Field(default=1e-6, ge=0)


class CustomRewardConfig(_Config):
    """A user's own reward.

    Attributes:
        target: ``module:attribute``, a class to be made with the arguments, or a function
            ``(task, rollouts, **arguments) -> list[Reward]``.
        arguments: Keyword arguments.
    """

    type: Literal["custom"] = "custom"
    target: Annotated[str, Field(pattern=TARGET_PATTERN), AfterValidator(importable_callable)]
    arguments: dict[str, Any] = {}


CorrectnessConfig = Annotated[
    ExactMatchConfig | F1Config | NumericConfig | CustomRewardConfig, Field(discriminator="type")
]


class OTCConfig(_Config):
    """See `OTCReward`.

    Attributes:
        correctness: The reward that says what is correct.
        alpha: Scale, > 0.
        smoothing: c, > 0; take the largest allowed number of calls.
        form: ``grpo`` or ``ppo``.
        minimum: ``running`` or ``group``.
        update_first: Whether a group lowers the minimum before it is scored itself.
        unknown: Coefficient where no minimum is known.
        format_weight: Weight of the format part beside correctness, inside the product, ≥ 0.
        include_unrun: Whether calls that no tool answered, because the rollout was cut there, count.
        correct_at: A rollout counts as correct from this correctness on.
    """

    type: Literal["otc"] = "otc"
    correctness: CorrectnessConfig = ExactMatchConfig()
    alpha: float = Field(default=1.0, gt=0)
    smoothing: float = Field(default=4.0, gt=0)
    form: Literal["grpo", "ppo"] = "grpo"
    minimum: Literal["running", "group"] = "running"
    update_first: bool = True
    unknown: UnknownMinimum = "one"
    format_weight: float = Field(default=0.0, ge=0)
    include_unrun: bool = True
    correct_at: float = 1.0

    @model_validator(mode="after")
    def _minimum_is_ever_known(self) -> OTCConfig:
        if self.minimum == "group" and not self.update_first:
            raise ValueError("minimum 'group' with update_first false never knows a minimum")
        return self


class MashConfig(_Config):
    """See `MashReward`.

    Attributes:
        correctness: The reward that says what is correct.
        penalty: How a search costs, see `search_penalty`.
        decay: λ of ``exp``, in (0, 1].
        max_searches: Most searches of a rollout, > 0.
    """

    type: Literal["mash"] = "mash"
    correctness: CorrectnessConfig = ExactMatchConfig()
    penalty: Penalty = "exp"
    decay: float = Field(default=0.7, gt=0, le=1)
    max_searches: int = Field(default=5, gt=0)


class ToolRLConfig(ToolRLSettings):
    """See `ToolRLSettings`."""

    type: Literal["toolrl"] = "toolrl"


class SearchR1Config(_Config):
    """See `SearchR1Reward`.

    Attributes:
        mode: ``mended``, or ``published``: the whole text is scored, the prompt included.
        structure: For a valid sequence with a wrong answer; taken off a right answer without one; v0.3: 0.2.
        final: For a wrong answer without a valid sequence; v0.3: 0.1.
        retrieval: Added to `structure` if a gold answer was retrieved; v0.3: 0.
    """

    type: Literal["search_r1"] = "search_r1"
    mode: SearchR1Mode = "mended"
    structure: float = Field(default=0.0, ge=0, le=1)
    final: float = Field(default=0.0, ge=0, le=1)
    retrieval: float = Field(default=0.0, ge=0, le=1)


RewardConfig = Annotated[
    ExactMatchConfig
    | F1Config
    | NumericConfig
    | OTCConfig
    | MashConfig
    | ToolRLConfig
    | SearchR1Config
    | CustomRewardConfig,
    Field(discriminator="type"),
]
"""Any reward; ``type`` chooses."""


def build_reward(config: RewardConfig) -> RewardFunction:
    """The reward function of a configuration.

    Raises:
        ToolwiseError: If a custom target does not take its arguments, or makes something that cannot be
            called.
    """
    if isinstance(config, ExactMatchConfig):
        return ExactMatchReward(config.after, config.format_weight)
    if isinstance(config, F1Config):
        return F1Reward(config.after, config.format_weight)
    if isinstance(config, NumericConfig):
        return NumericReward(config.after, config.format_weight, config.tolerance)
    if isinstance(config, ToolRLConfig):
        return ToolRLReward(config)
    if isinstance(config, SearchR1Config):
        points = SearchR1Points(config.structure, config.final, config.retrieval)
        return SearchR1Reward(points, config.mode)
    if isinstance(config, OTCConfig):
        options = config.model_dump(exclude={"type", "correctness"})
        return OTCReward(build_reward(config.correctness), **options)
    if isinstance(config, MashConfig):
        correctness = build_reward(config.correctness)
        return MashReward(correctness, config.penalty, config.decay, config.max_searches)
    target = load_target(config.target)
    if inspect.isclass(target):
        made: RewardFunction = made_from(config.target, config.arguments)
        return made
    check_arguments(config.target, "task", "rollouts", **config.arguments)
    # An object keeps its begin_step and its state; a function has none.
    return target if not config.arguments else partial(target, **config.arguments)
