"""Configuration of advantages: a discriminated union, and what builds the estimator from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from toolwise.advantages.actor_critic import GAE
from toolwise.advantages.credit import AdvantageEstimator
from toolwise.advantages.estimators import GPG, PassAtK, ReinforcePlusPlus
from toolwise.advantages.normalise import Normaliser
from toolwise.advantages.terms import PartSource, Term, TermsEstimator
from toolwise.core.targets import TARGET_PATTERN, importable_callable, made_from

Single = Literal["raw", "zero", "error"]
Divisor = Literal["sample", "population"]


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TermsConfig(_Config):
    """Any sum of terms.

    Attributes:
        terms: See `Term`.
        whitening: Whether the sum is whitened over the sampled tokens of the batch.
    """

    type: Literal["terms"] = "terms"
    terms: tuple[Term, ...] = Field(min_length=1)
    whitening: bool = False


class GRPOConfig(_Config):
    """(reward − group mean) / (group std + ε) (DeepSeekMath, arXiv 2402.03300, eq. 4).

    Attributes:
        divisor: Of the variance; the paper prints none, the common programs take ``sample``.
        epsilon: ε.
        single: What a group of one gives.
    """

    type: Literal["grpo"] = "grpo"
    divisor: Divisor = "sample"
    epsilon: float = Field(default=1e-6, ge=0)
    single: Single = "raw"


class DrGRPOConfig(_Config):
    """reward − group mean (arXiv 2503.20783); pair with an aggregation that ignores lengths.

    Attributes:
        single: What a group of one gives.
    """

    type: Literal["dr_grpo"] = "dr_grpo"
    single: Single = "raw"


class RLOOConfig(_Config):
    """reward − mean of the others (arXiv 2402.14740).

    Attributes:
        single: What a group of one gives.
    """

    type: Literal["rloo"] = "rloo"
    single: Single = "raw"


class ReinforcePlusPlusConfig(_Config):
    """See `ReinforcePlusPlus`.

    Attributes:
        discount: γ, a sampled token.
    """

    type: Literal["reinforce_plus_plus"] = "reinforce_plus_plus"
    discount: float = Field(default=1.0, ge=0, le=1)


class ReinforcePlusPlusBaselineConfig(_Config):
    """reward − group mean, whitened over the batch (arXiv 2501.03262).

    Attributes:
        single: What a group of one gives.
    """

    type: Literal["reinforce_plus_plus_baseline"] = "reinforce_plus_plus_baseline"
    single: Single = "raw"


class LitePPOConfig(_Config):
    """(reward − group mean) / (std over the rewards of the batch + ε) (arXiv 2508.08221).

    Attributes:
        divisor: Of the variance, which the paper does not print.
        epsilon: ε, neither.
        single: What a group of one gives.
    """

    type: Literal["lite_ppo"] = "lite_ppo"
    divisor: Divisor = "population"
    epsilon: float = Field(default=1e-6, ge=0)
    single: Single = "raw"


class OPOConfig(_Config):
    """reward − length-weighted group mean (arXiv 2505.23585).

    Attributes:
        single: What a group of one gives.
    """

    type: Literal["opo"] = "opo"
    single: Single = "raw"


class GDPOConfig(_Config):
    """GRPO for each part of the reward, weighted sum, whitened over the batch (arXiv 2601.05242).

    Attributes:
        parts: Weight of each named part.
        epsilon: ε.
    """

    type: Literal["gdpo"] = "gdpo"
    parts: dict[str, float] = Field(min_length=1)
    epsilon: float = Field(default=1e-6, ge=0)


class PassAtKConfig(_Config):
    """See `PassAtK`.

    Attributes:
        divide_by_std: Whether the lead is divided by the group's std.
        epsilon: ε.
    """

    type: Literal["grpo_passk"] = "grpo_passk"
    divide_by_std: bool = True
    epsilon: float = Field(default=1e-6, ge=0)


class GPGConfig(_Config):
    """See `GPG`."""

    type: Literal["gpg"] = "gpg"


class GAEConfig(_Config):
    """See `GAE`; it needs a critic. The defaults are those of verl.

    Attributes:
        discount: γ, a sampled token.
        decay: λ.
        whitening: Whether advantages are whitened over the sampled tokens of the batch.
    """

    type: Literal["gae"] = "gae"
    discount: float = Field(default=1.0, ge=0, le=1)
    decay: float = Field(default=1.0, ge=0, le=1)
    whitening: bool = True


class CustomAdvantageConfig(_Config):
    """A user's own estimator.

    Attributes:
        target: ``module:attribute``: a class or function that gives an `AdvantageEstimator`. One with
            ``with_returns`` (`ActorCriticEstimator`) gets a critic and needs one.
        arguments: Its keyword arguments.
    """

    type: Literal["custom"] = "custom"
    target: Annotated[str, Field(pattern=TARGET_PATTERN), AfterValidator(importable_callable)]
    arguments: dict[str, Any] = {}


AdvantageConfig = Annotated[
    GRPOConfig
    | DrGRPOConfig
    | RLOOConfig
    | ReinforcePlusPlusConfig
    | ReinforcePlusPlusBaselineConfig
    | LitePPOConfig
    | OPOConfig
    | GDPOConfig
    | PassAtKConfig
    | GPGConfig
    | GAEConfig
    | TermsConfig
    | CustomAdvantageConfig,
    Field(discriminator="type"),
]
"""Any advantage; ``type`` chooses."""


def build_advantage(config: AdvantageConfig) -> AdvantageEstimator:
    """The estimator of a configuration.

    Raises:
        ToolwiseError: A custom target does not take its arguments, or makes something that cannot be called.
    """
    if isinstance(config, CustomAdvantageConfig):
        made: AdvantageEstimator = made_from(config.target, config.arguments)
        return made
    if isinstance(config, ReinforcePlusPlusConfig):
        return ReinforcePlusPlus(config.discount)
    if isinstance(config, PassAtKConfig):
        return PassAtK(config.divide_by_std, config.epsilon)
    if isinstance(config, GPGConfig):
        return GPG()
    if isinstance(config, GAEConfig):
        return GAE(config.discount, config.decay, config.whitening)
    terms = preset_terms(config)
    return TermsEstimator(terms.terms, terms.whitening)


def preset_terms(
    config: GRPOConfig
    | DrGRPOConfig
    | RLOOConfig
    | ReinforcePlusPlusBaselineConfig
    | LitePPOConfig
    | OPOConfig
    | GDPOConfig
    | TermsConfig,
) -> TermsConfig:
    """A preset written out as terms."""
    if isinstance(config, TermsConfig):
        return config
    if isinstance(config, GDPOConfig):
        grpo = Normaliser(scale_over="group", epsilon=config.epsilon)
        terms = tuple(
            Term(source=PartSource(name=name), normaliser=grpo, weight=weight)
            for name, weight in config.parts.items()
        )
        return TermsConfig(terms=terms, whitening=True)
    if isinstance(config, GRPOConfig | LitePPOConfig):
        rule = Normaliser(
            scale_over="group" if isinstance(config, GRPOConfig) else "batch",
            divisor=config.divisor,
            epsilon=config.epsilon,
            single=config.single,
        )
    elif isinstance(config, RLOOConfig):
        rule = Normaliser(centre="leave_one_out", single=config.single)
    elif isinstance(config, OPOConfig):
        rule = Normaliser(centre="length_weighted", single=config.single)
    else:
        rule = Normaliser(single=config.single)
    whitening = isinstance(config, ReinforcePlusPlusBaselineConfig)
    return TermsConfig(terms=(Term(normaliser=rule),), whitening=whitening)
