"""Rewards: pure functions of rollouts, one file a family, and the configuration that chooses among them."""

from toolwise.rewards.answers import (
    ExactMatchReward,
    F1Reward,
    NumericReward,
    short_answer,
    well_formed,
)
from toolwise.rewards.assignment import best_assignment
from toolwise.rewards.config import (
    CustomRewardConfig,
    ExactMatchConfig,
    F1Config,
    MashConfig,
    NumericConfig,
    OTCConfig,
    RewardConfig,
    SearchR1Config,
    ToolRLConfig,
    build_reward,
)
from toolwise.rewards.mash import MashReward, search_penalty
from toolwise.rewards.numeric import find_numbers, numeric_match, reference_numbers
from toolwise.rewards.otc import (
    OTCReward,
    cosine_coefficient,
    count_calls,
    effective_calls,
    otc_metrics,
    tool_coefficient,
)
from toolwise.rewards.search_r1 import SearchR1Points, SearchR1Reward, search_r1_score
from toolwise.rewards.text import (
    contains_match,
    exact_match,
    f1_score,
    normalize_answer,
    reference_answers,
)
from toolwise.rewards.toolrl import ToolRLReward, ToolRLScore, ToolRLSettings, reward_ranges, toolrl_score

__all__ = [
    "CustomRewardConfig",
    "ExactMatchConfig",
    "ExactMatchReward",
    "F1Config",
    "F1Reward",
    "MashConfig",
    "MashReward",
    "NumericConfig",
    "NumericReward",
    "OTCConfig",
    "OTCReward",
    "RewardConfig",
    "SearchR1Config",
    "SearchR1Points",
    "SearchR1Reward",
    "ToolRLConfig",
    "ToolRLReward",
    "ToolRLScore",
    "ToolRLSettings",
    "best_assignment",
    "build_reward",
    "contains_match",
    "cosine_coefficient",
    "count_calls",
    "effective_calls",
    "exact_match",
    "f1_score",
    "find_numbers",
    "normalize_answer",
    "numeric_match",
    "otc_metrics",
    "reference_answers",
    "reference_numbers",
    "reward_ranges",
    "search_penalty",
    "search_r1_score",
    "short_answer",
    "tool_coefficient",
    "toolrl_score",
    "well_formed",
]
