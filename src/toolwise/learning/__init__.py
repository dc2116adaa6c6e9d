"""Learning: token trees, packing, log-probabilities, the update loop, checkpoints, run folders."""

from toolwise.learning.aggregation import aggregation_factors
from toolwise.learning.learner import Learner, LearnerConfig
from toolwise.learning.logprobs import token_logprobs
from toolwise.learning.objectives import LossConfig, SupervisedLossConfig, batch_loss
from toolwise.learning.packing import TokenBatch, pack, padding_share
from toolwise.learning.token_tree import TokenTree

__all__ = [
    "Learner",
    "LearnerConfig",
    "LossConfig",
    "SupervisedLossConfig",
    "TokenBatch",
    "TokenTree",
    "aggregation_factors",
    "batch_loss",
    "pack",
    "padding_share",
    "token_logprobs",
]
