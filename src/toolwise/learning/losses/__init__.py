"""Losses: policy surrogates, their aggregation, KL estimators, the value loss. Each some tens of lines."""

from toolwise.learning.losses.aggregation import aggregate, masked_mean, sequence_weights
from toolwise.learning.losses.config import (
    Aggregation,
    CISPOLossConfig,
    ClipCovLossConfig,
    DPPOLossConfig,
    DROLossConfig,
    GeoMeanLossConfig,
    GPGLossConfig,
    GSPOLossConfig,
    KLConfig,
    KLCovLossConfig,
    KLEstimator,
    KLInRewardConfig,
    PolicyLossConfig,
    PPOLossConfig,
    SAPOLossConfig,
    TokenPolicyLossConfig,
)
from toolwise.learning.losses.kl import AdaptiveKL, kl_divergence, kl_in_reward
from toolwise.learning.losses.policy import policy_loss
from toolwise.learning.losses.preference import DPOLossConfig, dpo_losses
from toolwise.learning.losses.surrogates import (
    Surrogate,
    geometric_mean_ratio,
    policy_surrogate,
    sequence_log_ratio,
    surrogate_details,
)
from toolwise.learning.losses.value import value_errors, value_loss

__all__ = [
    "AdaptiveKL",
    "Aggregation",
    "CISPOLossConfig",
    "ClipCovLossConfig",
    "DPOLossConfig",
    "DPPOLossConfig",
    "DROLossConfig",
    "GPGLossConfig",
    "GSPOLossConfig",
    "GeoMeanLossConfig",
    "KLConfig",
    "KLCovLossConfig",
    "KLEstimator",
    "KLInRewardConfig",
    "PPOLossConfig",
    "PolicyLossConfig",
    "SAPOLossConfig",
    "Surrogate",
    "TokenPolicyLossConfig",
    "aggregate",
    "dpo_losses",
    "geometric_mean_ratio",
    "kl_divergence",
    "kl_in_reward",
    "masked_mean",
    "policy_loss",
    "policy_surrogate",
    "sequence_log_ratio",
    "sequence_weights",
    "surrogate_details",
    "value_errors",
    "value_loss",
]
