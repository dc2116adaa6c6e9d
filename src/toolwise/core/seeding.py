"""Seeds that depend on what is computed, never on when or beside what it is computed."""

from __future__ import annotations

import hashlib


def seed_for(*keys: str | int) -> int:
    """Derive a 63-bit seed from keys such as ``(run seed, "rollout", task id, sample, turn)``.

    Equal keys give equal seeds on every machine and in every process; keys are kept apart, so
    ``("ab", "c")`` and ``("a", "bc")`` differ.
    """
    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in keys)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
