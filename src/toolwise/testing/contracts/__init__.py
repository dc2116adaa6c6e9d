"""Contract tests: what every reward, tool, dialect and sampler must do, whatever else it does."""

from toolwise.testing.contracts.dialect import check_dialect
from toolwise.testing.contracts.examples import example_group
from toolwise.testing.contracts.reward import check_reward
from toolwise.testing.contracts.sampler import check_sampler
from toolwise.testing.contracts.tool import check_tool

__all__ = ["check_dialect", "check_reward", "check_sampler", "check_tool", "example_group"]
