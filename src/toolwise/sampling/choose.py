"""Choosing the next token of every row from its logits, each row with its own random numbers."""

from __future__ import annotations

import torch


def choose_tokens(
    logits: torch.Tensor,
    temperature: torch.Tensor,
    top_p: torch.Tensor,
    top_k: torch.Tensor,
    uniform: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample one token a row by inverting its cumulative distribution.

    Args:
        logits: Shape (n, vocabulary).
        temperature: Shape (n,); 0 takes the likeliest token.
        top_p: Shape (n,), in (0, 1].
        top_k: Shape (n,); 0 keeps all.
        uniform: Shape (n,), in [0, 1): one random number a row, so that a row's draw depends on its own
            seed alone and not on its neighbours.

    Returns:
        Token ids and their log-probabilities, each of shape (n,).
    """
    greedy = temperature == 0
    scale = torch.where(greedy, torch.ones_like(temperature), temperature)
    logprobs = torch.log_softmax(logits.float() / scale[:, None], dim=-1)
    probabilities = logprobs.exp().double()
    if bool((top_p < 1).any()) or bool((top_k > 0).any()):
        probabilities = _cut_tail(probabilities, top_p, top_k)
    cumulative = probabilities.cumsum(-1)
    target = uniform.double()[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
    tokens = torch.where(greedy, logprobs.argmax(-1), tokens.clamp(max=logits.shape[-1] - 1))
    return tokens, logprobs.gather(1, tokens[:, None]).squeeze(1)


def _cut_tail(probabilities: torch.Tensor, top_p: torch.Tensor, top_k: torch.Tensor) -> torch.Tensor:
    """Zero what lies outside the nucleus or the k likeliest; the likeliest token always stays."""
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    rank = torch.arange(ordered.shape[-1], device=ordered.device)[None]
    before = ordered.cumsum(-1) - ordered
    keep = (before < top_p[:, None].double()) & ((top_k[:, None] == 0) | (rank < top_k[:, None]))
    keep[:, 0] = True
    return torch.zeros_like(probabilities).scatter(1, order, ordered * keep)
