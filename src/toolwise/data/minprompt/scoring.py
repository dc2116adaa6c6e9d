"""MRQA's F1, which differs from SQuAD's where nothing is left of an answer."""

from __future__ import annotations

from collections.abc import Sequence

from toolwise.rewards.text import f1_score, normalize_answer


def mrqa_f1(prediction: str, golds: Sequence[str]) -> float:
    """Largest token F1 with a gold; 0 where either side is empty after normalising (MRQA's script)."""
    if not normalize_answer(prediction):
        return 0.0
    return f1_score(prediction, [gold for gold in golds if normalize_answer(gold)])
