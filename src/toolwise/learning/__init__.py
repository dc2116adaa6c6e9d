"""Learning: token trees, packing, log-probabilities, the update loop, checkpoints, run folders."""

from toolwise.learning.adapters import LoraSettings, add_adapter
from toolwise.learning.aggregation import aggregation_factors
from toolwise.learning.ahead import Ahead, corrected
from toolwise.learning.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from toolwise.learning.critic import Critic, CriticConfig
from toolwise.learning.distributed import (
    DistributedConfig,
    EverywhereError,
    LostRankError,
    World,
    joined_world,
    launched,
)
from toolwise.learning.experience import Experience, experience_metrics, rollout_records, score
from toolwise.learning.interrupts import Interrupted
from toolwise.learning.learner import Learner
from toolwise.learning.logprobs import token_logprobs
from toolwise.learning.loops import check_critic, train_policy, train_supervised
from toolwise.learning.losses import DPOLossConfig
from toolwise.learning.objectives import LossConfig, SupervisedLossConfig, batch_loss
from toolwise.learning.packing import TokenBatch, pack, padding_share
from toolwise.learning.run_folder import RunFolder
from toolwise.learning.sharding import Spread, refresh, settled_strategy
from toolwise.learning.sinks import MetricSink, SinkName, open_sink
from toolwise.learning.token_tree import TokenTree
from toolwise.learning.updater import LearnerConfig
from toolwise.learning.values import value_model

__all__ = [
    "Ahead",
    "Critic",
    "CriticConfig",
    "DPOLossConfig",
    "DistributedConfig",
    "EverywhereError",
    "Experience",
    "Interrupted",
    "Learner",
    "LearnerConfig",
    "LoraSettings",
    "LossConfig",
    "LostRankError",
    "MetricSink",
    "RunFolder",
    "SinkName",
    "Spread",
    "SupervisedLossConfig",
    "TokenBatch",
    "TokenTree",
    "World",
    "add_adapter",
    "aggregation_factors",
    "batch_loss",
    "check_critic",
    "corrected",
    "experience_metrics",
    "joined_world",
    "launched",
    "list_checkpoints",
    "load_checkpoint",
    "open_sink",
    "pack",
    "padding_share",
    "refresh",
    "rollout_records",
    "save_checkpoint",
    "score",
    "settled_strategy",
    "token_logprobs",
    "train_policy",
    "train_supervised",
    "value_model",
]
