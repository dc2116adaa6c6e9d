"""Rollouts: a policy, its tools and its limits, played out turn by turn."""

from toolwise.rollout.agent import Limits, roll_out
from toolwise.rollout.chat_agent import chat_roll_out
from toolwise.rollout.collect import ChatCollector, Collector, CollectorConfig, Player
from toolwise.rollout.conversation import UserTurn, converse
from toolwise.rollout.demonstrations import demonstration_trees

__all__ = [
    "ChatCollector",
    "Collector",
    "CollectorConfig",
    "Limits",
    "Player",
    "UserTurn",
    "chat_roll_out",
    "converse",
    "demonstration_trees",
    "roll_out",
]
