"""Train, dev and test by group: a seeded hash of the group's key decides, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from toolwise.core import seed_for

SPLITS = ("train", "dev", "test")


def assign_split(group: str, shares: Sequence[float], seed: int) -> str:
    """The split of a group.

    It depends on the group's key, the shares and the seed alone: rows that are added, removed or put in
    another order move no other row. The shares are therefore met on average, not exactly.

    Args:
        group: Key of the group.
        shares: Of train, dev and test, adding up to 1.
        seed: Another one gives another split.
    """
    place = seed_for(seed, "split", group) / 2**63
    reached = 0.0
    for name, share in zip(SPLITS, shares, strict=True):
        reached += share
        if place < reached:
            return name
    # The shares add up to 1 up to rounding: what is left goes to the last split that has a share.
    return next(name for name, share in zip(reversed(SPLITS), reversed(shares), strict=True) if share > 0)
