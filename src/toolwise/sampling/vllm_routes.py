"""Which server a request goes to: the one that has its prefix, unless that one is busy."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

BLOCK = 16
"""Tokens that are remembered together; vLLM, too, shares whole blocks only."""
SLACK = 16
"""A server with the prefix is left for another one if it has so many requests more under way."""


class Busy(Protocol):
    """A server, as routing sees it."""

    @property
    def url(self) -> str:
        """Its name."""
        ...

    @property
    def load(self) -> int:
        """Requests that it has."""
        ...


ServerT = TypeVar("ServerT", bound=Busy)


class Routes:
    """Remembers which server has read which tokens.

    The rollouts of a group, which share their prompt, and the turns of a rollout meet there. Where a request
    goes decides how fast it is answered and never what comes of it.

    Args:
        capacity: Most blocks that are remembered; the ones that were not asked for longest are forgotten.
    """

    def __init__(self, capacity: int = 1 << 17) -> None:
        self._capacity = capacity
        self._homes: OrderedDict[int, str] = OrderedDict()

    def pick(self, token_ids: Sequence[int], servers: Sequence[ServerT]) -> ServerT:
        """The server for a prompt; what it reads is remembered.

        Args:
            token_ids: The prompt.
            servers: Those that can be asked, at least one.
        """
        blocks = list(_chained(token_ids))
        least = min(servers, key=lambda server: server.load)
        by_name = {server.url: server for server in servers}
        chosen = least
        for block in reversed(blocks):
            home = by_name.get(self._homes.get(block, ""))
            if home is not None:
                chosen = home if home.load <= least.load + SLACK else least
                break
        for block in blocks:
            self._homes[block] = chosen.url
            self._homes.move_to_end(block)
        while len(self._homes) > self._capacity:
            self._homes.popitem(last=False)
        return chosen

    def forget(self, url: str) -> None:
        """A server has lost what it had read."""
        self._homes = OrderedDict(item for item in self._homes.items() if item[1] != url)


def _chained(token_ids: Sequence[int]) -> Iterator[int]:
    """A key for each whole block, which stands for all tokens up to its end."""
    key = 0
    for start in range(0, len(token_ids) - BLOCK + 1, BLOCK):
        key = hash((key, tuple(token_ids[start : start + BLOCK])))
        yield key
