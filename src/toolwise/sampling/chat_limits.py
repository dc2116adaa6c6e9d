"""How fast and for how much an endpoint is asked: pace, tries again, and what was spent."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from toolwise.core.endpoint import ChatBudget
from toolwise.sampling.chat import ChatBudgetError, ChatReply

LONGEST_BACKOFF = 60.0
LONGEST_WAIT = 600.0
"""A server that asks to wait longer than this (seconds) is not waited for."""


class Pace:
    """Spaces requests evenly.

    Args:
        per_minute: Requests a minute; None does not space them.
        clock: Gives seconds.
    """

    def __init__(self, per_minute: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._clock = clock
        self._free = -math.inf

    def delay(self) -> float:
        """Take the next slot; seconds until it comes, ≥ 0."""
        now = self._clock()
        slot = max(now, self._free)
        self._free = slot + self._gap
        return slot - now


def backoff_delay(attempt: int, first: float, asked: float | None, draw: float) -> float:
    """Seconds to wait before a request is tried again.

    Args:
        attempt: How many tries there were, less one: 0 before the second try.
        first: Wait before the second try, without jitter.
        asked: What the server asked to wait, if it did.
        draw: Uniform in [0, 1); waits are between half and all of their length.
    """
    length: float = min(LONGEST_BACKOFF, first * 2.0**attempt)
    return max(length * (0.5 + draw / 2), asked or 0.0)


def jitter() -> float:
    """A draw for `backoff_delay`: not seeded, because it decides when is asked and never what comes of it."""
    return random.random()


def read_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a ``Retry-After`` header asks to wait (a number, or a date); None if it says nothing."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (when.astimezone(UTC) - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


@dataclass(slots=True)
class Spending:
    """What was spent so far.

    Attributes:
        budget: What may be.
        requests: Requests sent.
        cached: Replies that came from the cache.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
    """

    budget: ChatBudget
    requests: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def cost(self) -> float | None:
        """In the currency of the prices; None without prices."""
        budget = self.budget
        if budget.input_price is None or budget.output_price is None:
            return None
        read, written = self.prompt_tokens * budget.input_price, self.completion_tokens * budget.output_price
        return (read + written) / 1e6

    def begin(self, where: str) -> None:
        """Count a request that is about to be sent.

        Raises:
            ChatBudgetError: The budget is spent.
        """
        budget, tokens, cost = self.budget, self.prompt_tokens + self.completion_tokens, self.cost
        for name, spent, limit in (
            ("requests", self.requests, budget.requests),
            ("tokens", tokens, budget.tokens),
            ("cost", cost, budget.cost),
        ):
            if limit is not None and spent is not None and spent >= limit:
                raise ChatBudgetError(
                    f"the budget is spent: {spent:,.6g} of {limit:,.6g} {name}",
                    where=where,
                    mend=f"raise budget.{name}; with 'cache' set, a new run does not pay again for these",
                )
        self.requests += 1

    def settle(self, reply: ChatReply, where: str) -> None:
        """Count the tokens of a reply.

        Raises:
            ChatBudgetError: They are to be counted, and the server does not say how many there were.
        """
        counted = self.budget.tokens is not None or self.budget.cost is not None
        if counted and not reply.prompt_tokens + reply.completion_tokens:
            raise ChatBudgetError(
                "the server does not say how many tokens a reply took, so the budget cannot be kept",
                where=where,
                mend="limit budget.requests instead of tokens or cost",
            )
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens

    def said(self) -> str:
        """One line for people."""
        cost = "" if self.cost is None else f", cost {self.cost:.4f}"
        return (
            f"{self.requests:,} requests, {self.cached:,} replies from the cache, "
            f"{self.prompt_tokens:,} tokens read, {self.completion_tokens:,} written{cost}"
        )
