"""Encoder-decoder models: one optimizer step on sources and targets, through transformers' own loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from toolwise.core import ToolwiseError
from toolwise.learning.updater import ModelUpdater

IdPair = tuple[Sequence[int], Sequence[int]]
"""Token ids of a source and of its target, each with the special tokens that the model wants."""

_IGNORED = -100


class Seq2SeqLearner(ModelUpdater):
    """An encoder-decoder model and its optimizer, see `ModelUpdater`. One process."""

    def step(self, batches: Sequence[tuple[Sequence[IdPair], float]]) -> dict[str, float]:
        """One optimizer step on the weighted sum of several batches' losses.

        Args:
            batches: Pairs and the weight of each batch; a loss is the mean cross-entropy over all target
                tokens of its batch. An empty batch counts nothing.

        Returns:
            ``loss``, ``grad_norm``, ``learning_rate`` and ``trained_tokens``.

        Raises:
            ToolwiseError: A pair is longer than the model takes, or the gradient is not finite.
        """
        used = [(pairs, weight) for pairs, weight in batches if pairs and weight]
        for pairs, _ in used:
            self._check(pairs)
        rate = self._begin()
        total = 0.0
        for pairs, weight in used:
            with self._autocast():
                loss = weight * self._loss(pairs)
            self._backward(loss)
            total += float(loss.detach())
        norm = self._apply("gradient") if used else 0.0
        self.steps += 1
        count = sum(len(target) for pairs, _ in used for _, target in pairs)
        return {"loss": total, "grad_norm": norm, "learning_rate": rate, "trained_tokens": float(count)}

    def _loss(self, pairs: Sequence[IdPair]) -> Tensor:
        sources, seen = _padded([source for source, _ in pairs], 0)
        labels, _ = _padded([target for _, target in pairs], _IGNORED)
        found = self.model(
            input_ids=sources.to(self.device),
            attention_mask=seen.to(self.device),
            labels=labels.to(self.device),
            use_cache=False,
        )
        loss: Tensor = found.loss
        return loss

    def _check(self, pairs: Sequence[IdPair]) -> None:
        longest = max(max(len(source), len(target)) for source, target in pairs)
        if self.context is not None and longest > self.context:
            raise ToolwiseError(
                f"a source or target has {longest} tokens, and the model takes {self.context}",
                where="model",
                mend="cut the sources (source_tokens)",
            )


@torch.no_grad()
def generate_greedily(model: torch.nn.Module, source: Sequence[int], limit: int) -> list[int]:
    """What an encoder-decoder model writes to a source, greedily, without the tokens that begin and end it.

    Args:
        model: The model.
        source: Token ids.
        limit: Most new tokens, the end included.

    Returns:
        Token ids; if the last one is the model's end of text it came to its end, else it was cut.
    """
    device = next(model.parameters()).device
    ids = torch.tensor([list(source)], device=device)
    written: list[int] = model.generate(  # type: ignore[operator]
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=limit,
        min_length=0,
        do_sample=False,
        num_beams=1,
        no_repeat_ngram_size=0,  # BART's own settings forbid what is repeated, and the question is
        early_stopping=False,
    )[0].tolist()
    begin = getattr(model.config, "decoder_start_token_id", None)
    return written[1:] if written and written[0] == begin else written


def _padded(rows: Sequence[Sequence[int]], fill: int) -> tuple[Tensor, Tensor]:
    """Rows side by side, padded at their ends, and a mask of what is not padding."""
    width = max(len(row) for row in rows)
    padded = torch.full((len(rows), width), fill, dtype=torch.long)
    mask = torch.zeros_like(padded)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = torch.tensor(list(row))
        mask[place, : len(row)] = 1
    return padded, mask
