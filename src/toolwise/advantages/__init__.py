"""Advantages: who gets the credit. Pure NumPy; a sum of terms, or one of a few walks along the tokens."""

from toolwise.advantages.actor_critic import GAE, ActorCriticEstimator
from toolwise.advantages.config import (
    AdvantageConfig,
    CustomAdvantageConfig,
    DrGRPOConfig,
    GAEConfig,
    GDPOConfig,
    GPGConfig,
    GRPOConfig,
    LitePPOConfig,
    OPOConfig,
    PassAtKConfig,
    ReinforcePlusPlusBaselineConfig,
    ReinforcePlusPlusConfig,
    RLOOConfig,
    TermsConfig,
    build_advantage,
    preset_terms,
)
from toolwise.advantages.credit import AdvantageEstimator, Credit, credit_of
from toolwise.advantages.estimators import GPG, PassAtK, ReinforcePlusPlus
from toolwise.advantages.normalise import Normaliser, normalise, whiten
from toolwise.advantages.returns import (
    discounted_returns,
    generalised_advantages,
    optimal_token_baseline,
    remax_advantages,
)
from toolwise.advantages.terms import PartSource, Term, TermsEstimator, TotalSource, TurnSource
from toolwise.advantages.token_rewards import penalised, token_rewards

__all__ = [
    "GAE",
    "GPG",
    "ActorCriticEstimator",
    "AdvantageConfig",
    "AdvantageEstimator",
    "Credit",
    "CustomAdvantageConfig",
    "DrGRPOConfig",
    "GAEConfig",
    "GDPOConfig",
    "GPGConfig",
    "GRPOConfig",
    "LitePPOConfig",
    "Normaliser",
    "OPOConfig",
    "PartSource",
    "PassAtK",
    "PassAtKConfig",
    "RLOOConfig",
    "ReinforcePlusPlus",
    "ReinforcePlusPlusBaselineConfig",
    "ReinforcePlusPlusConfig",
    "Term",
    "TermsConfig",
    "TermsEstimator",
    "TotalSource",
    "TurnSource",
    "build_advantage",
    "credit_of",
    "discounted_returns",
    "generalised_advantages",
    "normalise",
    "optimal_token_baseline",
    "penalised",
    "preset_terms",
    "remax_advantages",
    "token_rewards",
    "whiten",
]
