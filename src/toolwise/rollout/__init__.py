"""Rollouts: a policy, its tools and its limits, played out turn by turn."""

from toolwise.rollout.agent import Limits, roll_out
from toolwise.rollout.collect import Collector, CollectorConfig
from toolwise.rollout.demonstrations import demonstration_trees

__all__ = ["Collector", "CollectorConfig", "Limits", "demonstration_trees", "roll_out"]
