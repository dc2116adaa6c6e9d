"""Configuration of the policy loss: which surrogate, how it is aggregated, what regularises it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Aggregation = Literal[
    "token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"
]
KLEstimator = Literal["k1", "k1+", "abs", "abs+", "k2", "k3", "k3+"]


class KLConfig(BaseModel):
    """KL penalty against the reference policy, added to the loss of every trained token.

    Attributes:
        estimator: See `kl_divergence`; a ``+`` takes the gradient of k2, which is that of the true KL.
        coefficient: Weight of the penalty, ≥ 0; 0 means that no reference policy is needed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    estimator: KLEstimator = "k3"
    coefficient: float = Field(default=0.0, ge=0)


class KLInRewardConfig(BaseModel):
    """KL penalty against the reference policy, taken from the reward of every sampled token.

    Attributes:
        estimator: See `kl_divergence`, of the policy that sampled; k1 is log π_old − log π_ref, k3 the
            low-variance one.
        coefficient: β, ≥ 0; 0 means that no reference policy is needed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    estimator: Literal["k1", "abs", "k2", "k3"] = "k1"
    coefficient: float = Field(default=0.0, ge=0)


class PolicyLossBase(BaseModel):
    """What all policy losses share.

    Attributes:
        aggregation: How per-token losses become one number, see `aggregate`.
        horizon: Fixed length that ``seq-mean-token-sum-norm`` divides by, in tokens; None takes the
            padded length of the batch.
        kl: Penalty against the reference policy.
        entropy_coefficient: Weight of the entropy bonus, ≥ 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    aggregation: Aggregation = "token-mean"
    horizon: int | None = Field(default=None, gt=0)
    kl: KLConfig = KLConfig()
    entropy_coefficient: float = Field(default=0.0, ge=0)


class PPOLossConfig(PolicyLossBase):
    """Clipped surrogate (Schulman et al. 2017, eq. 7), clip-higher (DAPO) and dual clip (Ye et al. 2019).

    Attributes:
        clip_low: The ratio is cut below 1 − clip_low.
        clip_high: The ratio is cut above 1 + clip_high; larger than clip_low gives clip-higher.
        dual_clip: Upper limit of the loss for negative advantages, in units of |A|, > 1; None lifts it.
    """

    type: Literal["ppo"] = "ppo"
    clip_low: float = Field(default=0.2, ge=0, le=1)
    clip_high: float = Field(default=0.2, ge=0)
    dual_clip: float | None = Field(default=3.0, gt=1)


class GSPOLossConfig(PolicyLossBase):
    """One ratio a sequence, exp of its mean log-ratio (Zheng et al. 2025, arXiv 2507.18071)."""

    type: Literal["gspo"] = "gspo"
    clip_low: float = Field(default=3e-4, ge=0, le=1)
    clip_high: float = Field(default=4e-4, ge=0)
    aggregation: Literal["seq-mean-token-mean"] = "seq-mean-token-mean"


class GeoMeanLossConfig(PolicyLossBase):
    """Geometric mean of the clipped ratios of a sequence (GMPO, arXiv 2507.20673).

    Attributes:
        clip_low: Log-ratios are cut below −clip_low.
        clip_high: Log-ratios are cut above clip_high.
    """

    type: Literal["geo_mean"] = "geo_mean"
    clip_low: float = Field(default=0.4, ge=0)
    clip_high: float = Field(default=0.4, ge=0)
    aggregation: Literal["seq-mean-token-mean"] = "seq-mean-token-mean"


class SAPOLossConfig(PolicyLossBase):
    """Soft gate in place of a clip (arXiv 2511.20347).

    Attributes:
        temperature_positive: Sharpness of the gate where the advantage is positive.
        temperature_negative: The same where it is negative.
    """

    type: Literal["sapo"] = "sapo"
    temperature_positive: float = Field(default=1.0, gt=0)
    temperature_negative: float = Field(default=1.05, gt=0)
    aggregation: Literal["seq-mean-token-mean"] = "seq-mean-token-mean"


class CISPOLossConfig(PolicyLossBase):
    """REINFORCE weighted by the clipped ratio, held constant (MiniMax-M1, arXiv 2506.13585)."""

    type: Literal["cispo"] = "cispo"
    clip_low: float = Field(default=0.2, ge=0, le=1)
    clip_high: float = Field(default=0.28, ge=0)


class GPGLossConfig(PolicyLossBase):
    """Plain policy gradient, −A·log π, without a ratio (GPG, arXiv 2504.02546)."""

    type: Literal["gpg"] = "gpg"


class DPPOLossConfig(PolicyLossBase):
    """REINFORCE with a trust region on the sampled token's probability (DPPO, arXiv 2602.04879).

    Attributes:
        divergence: ``tv``: difference of the two probabilities; ``kl``: KL of (this token, any other).
        clip_low: Limit of the divergence on the way down (negative advantages).
        clip_high: Limit on the way up (positive advantages).
        truncation: Largest importance ratio.
    """

    type: Literal["dppo"] = "dppo"
    divergence: Literal["tv", "kl"] = "tv"
    clip_low: float = Field(default=0.2, ge=0)
    clip_high: float = Field(default=0.2, ge=0)
    truncation: float = Field(default=20.0, gt=0)


class DROLossConfig(PolicyLossBase):
    """−A·log π plus a quadratic pull to the sampling policy (DRO, arXiv 2405.19107).

    Attributes:
        beta: Weight of the pull ½·beta·(log-ratio)², which does not scale with the advantage.
    """

    type: Literal["dro"] = "dro"
    beta: float = Field(default=0.1, ge=0)


class ClipCovLossConfig(PolicyLossBase):
    """PPO that drops some tokens of high covariance (Clip-Cov, arXiv 2505.22617).

    Attributes:
        clip_low: As in PPO.
        clip_high: As in PPO.
        fraction: Share of the trained tokens that may be dropped, chosen at random.
        covariance_low: Candidates have a covariance above this.
        covariance_high: Candidates have a covariance below this.
    """

    type: Literal["clip_cov"] = "clip_cov"
    clip_low: float = Field(default=0.2, ge=0, le=1)
    clip_high: float = Field(default=0.2, ge=0)
    fraction: float = Field(default=2e-4, gt=0, le=1)
    covariance_low: float = 1.0
    covariance_high: float = 5.0


class KLCovLossConfig(PolicyLossBase):
    """Unclipped surrogate with a KL penalty on the tokens of highest covariance (KL-Cov, arXiv 2505.22617).

    Attributes:
        fraction: Share of the trained tokens that are penalised (at least one token).
        coefficient: Weight of their |log-ratio|.
    """

    type: Literal["kl_cov"] = "kl_cov"
    fraction: float = Field(default=2e-4, gt=0, le=1)
    coefficient: float = Field(default=1.0, ge=0)


PolicyLossConfig = Annotated[
    PPOLossConfig
    | GSPOLossConfig
    | GeoMeanLossConfig
    | SAPOLossConfig
    | CISPOLossConfig
    | GPGLossConfig
    | DPPOLossConfig
    | DROLossConfig
    | ClipCovLossConfig
    | KLCovLossConfig,
    Field(discriminator="type"),
]
"""Any policy loss; ``type`` chooses."""

TokenPolicyLossConfig = (
    PPOLossConfig | GSPOLossConfig | SAPOLossConfig | CISPOLossConfig | GPGLossConfig | DPPOLossConfig
)
"""The losses that `policy_surrogate` gives token by token."""
