"""How a contract test says what is broken."""

from __future__ import annotations


def require(condition: bool, problem: str) -> None:
    """Go on if the condition holds.

    Raises:
        AssertionError: It does not. Unlike an ``assert`` statement, this one stays under ``python -O``.
    """
    if not condition:
        raise AssertionError(problem)
