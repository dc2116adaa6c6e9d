"""The words every other room speaks: Task, Turn, RolloutTree, Reward.

Nothing here imports torch or any other room.
"""

from toolwise.core.errors import ErrorKind, ToolwiseError
from toolwise.core.reward import Reward, RewardFunction, rewards_of, scorable
from toolwise.core.seeding import seed_for
from toolwise.core.targets import load_target
from toolwise.core.task import Message, Task
from toolwise.core.tree import Rollout, RolloutEnd, RolloutTree, StopReason
from toolwise.core.turn import ToolCall, ToolResult, Turn

__all__ = [
    "ErrorKind",
    "Message",
    "Reward",
    "RewardFunction",
    "Rollout",
    "RolloutEnd",
    "RolloutTree",
    "StopReason",
    "Task",
    "ToolCall",
    "ToolResult",
    "ToolwiseError",
    "Turn",
    "load_target",
    "rewards_of",
    "scorable",
    "seed_for",
]
