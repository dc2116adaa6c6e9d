"""What users check their own parts with: contract tests, and reference vectors.

A contract test is one call in the user's own test; it raises an AssertionError that says what is broken::

    from toolwise.testing import check_reward

    def test_my_reward():
        check_reward(my_reward)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolwise.testing.contracts import (
        check_dialect,
        check_reward,
        check_sampler,
        check_tool,
        example_group,
    )

__all__ = ["check_dialect", "check_reward", "check_sampler", "check_tool", "example_group"]


def __getattr__(name: str) -> object:
    """Import the contract tests only when one is asked for."""
    if name in __all__:
        from toolwise.testing import contracts

        return getattr(contracts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
