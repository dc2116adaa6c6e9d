"""Configuration of rewards: a discriminated union, and what builds the reward function from it."""

from __future__ import annotations

import importlib
import inspect
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from toolwise.core import RewardFunction, ToolwiseError
from toolwise.rewards.answers import ExactMatchReward, F1Reward, NumericReward
from toolwise.rewards.otc import OTCReward, UnknownMinimum
from toolwise.rewards.toolrl import END_TOKENS, ToolRLReward, ToolRLSettings


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
    target: str = Field(pattern=r"^[\w.]+:[\w.]+$")
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


class ToolRLConfig(ToolRLSettings):
    """See `ToolRLSettings`.

    Attributes:
        end_tokens: Special tokens that are cut from the end of a turn before it is scored.
    """

    type: Literal["toolrl"] = "toolrl"
    end_tokens: tuple[str, ...] = END_TOKENS


RewardConfig = Annotated[
    ExactMatchConfig | F1Config | NumericConfig | OTCConfig | ToolRLConfig | CustomRewardConfig,
    Field(discriminator="type"),
]
"""Any reward; ``type`` chooses."""


def build_reward(config: RewardConfig) -> RewardFunction:
    """The reward function of a configuration.

    Raises:
        ToolwiseError: If a custom target cannot be loaded.
    """
    if isinstance(config, ExactMatchConfig):
        return ExactMatchReward(config.after, config.format_weight)
    if isinstance(config, F1Config):
        return F1Reward(config.after, config.format_weight)
    if isinstance(config, NumericConfig):
        return NumericReward(config.after, config.format_weight, config.tolerance)
    if isinstance(config, ToolRLConfig):
        return ToolRLReward(config, config.end_tokens)
    if isinstance(config, OTCConfig):
        options = config.model_dump(exclude={"type", "correctness"})
        return OTCReward(build_reward(config.correctness), **options)
    return _load(config)


def _load(config: CustomRewardConfig) -> RewardFunction:
    where = f"reward target '{config.target}'"
    module, _, path = config.target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        mend = "give 'module:attribute' of something that can be imported from here"
        raise ToolwiseError(f"cannot be loaded ({error})", where=where, mend=mend) from error
    mend = "give a class, or a function (task, rollouts, **arguments) -> list[Reward]"
    if inspect.isclass(found):
        try:
            made: Any = found(**config.arguments)
        except TypeError as error:
            mend = "make 'arguments' fit the class"
            raise ToolwiseError(f"cannot be made ({error})", where=where, mend=mend) from error
    else:
        made = partial(found, **config.arguments) if callable(found) and config.arguments else found
    if not callable(made):
        raise ToolwiseError(f"is a {type(made).__name__}, not a reward function", where=where, mend=mend)
    reward: RewardFunction = made
    return reward
