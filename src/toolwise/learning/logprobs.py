"""Log-probabilities of the trained tokens of a batch, without ever holding logits of the whole batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from toolwise.core import ToolwiseError
from toolwise.learning.attention import attending, chosen_attention
from toolwise.learning.packing import TokenBatch

CHUNK_ELEMENTS = 1 << 22
"""Logits held at one time, in numbers: the chunk of tokens times the vocabulary stays below."""


def token_logprobs(
    model: nn.Module, batch: TokenBatch, *, temperature: float = 1.0, entropy: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-probability of every trained token of a batch, given the tokens before it on its path.

    Args:
        model: A Hugging Face causal language model whose attention takes a 4D mask (``sdpa``, ``eager``).
        batch: Packed trees, on the model's device.
        temperature: The logits are divided by it, as the sampler did, > 0.
        entropy: Also return the entropy of the distribution that each trained token was drawn from.

    Returns:
        Log-probabilities in nats, shape (N,), float32 or wider, and entropies, shape (N,), or None.

    Raises:
        ToolwiseError: The model has layers that cannot attend along a tree.
    """
    config: Any = model.config
    hidden = predicting_states(model, batch)
    head = model.get_output_embeddings()  # type: ignore[operator]
    kind = hidden.device.type
    weight, bias = head.weight, getattr(head, "bias", None)
    if torch.is_autocast_enabled(kind):
        narrow = torch.get_autocast_dtype(kind)
        hidden, weight = hidden.to(narrow), weight.to(narrow)
        bias = None if bias is None else bias.to(narrow)
    with torch.autocast(kind, enabled=False):
        logprobs, entropies = _ChunkedLogProbs.apply(  # type: ignore[no-untyped-call]
            hidden, weight, bias, batch.targets, _scale(config), _softcap(config), temperature, entropy
        )
    return logprobs, entropies if entropy else None


def predicting_states(model: nn.Module, batch: TokenBatch) -> Tensor:
    """Last hidden state at the place that predicts each trained token, shape (N, D).

    Args:
        model: A Hugging Face model on a decoder whose attention takes a 4D mask (``sdpa``, ``eager``).
        batch: Packed trees, on the model's device.

    Raises:
        ToolwiseError: The model has layers that cannot attend along a tree.
    """
    config: Any = model.config
    body = model.get_decoder()  # type: ignore[operator]
    places = {"input_ids": batch.input_ids, "position_ids": batch.position_ids, "use_cache": False}
    if _plain_attention(config):
        # A 4D mask keeps the model from making its own; attention along trees does not look at it.
        unused = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=batch.input_ids.device)
        kind = batch.input_ids.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else model.dtype
        name, more = chosen_attention(model, batch, dtype)
        with attending(model, name):
            output = body(**places, attention_mask=unused, **more)
    else:
        output = body(**places, attention_mask=_masks(config, batch))
    hidden: Tensor = output.last_hidden_state
    hidden, wanted = hidden.flatten(0, 1), batch.predecessor
    if len(hidden) < batch.size:  # the last layer has computed those only
        wanted = torch.unique(wanted, return_inverse=True)[1]
    return hidden.index_select(0, wanted)


def _plain_attention(config: Any) -> bool:
    """Whether every layer sees the whole path and scores it in the ordinary way."""
    config = config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    capped = getattr(config, "attn_logit_softcapping", None)
    full = kinds == {"full_attention"} or (not kinds and window is None)
    return config._attn_implementation == "sdpa" and full and capped is None


def _masks(config: Any, batch: TokenBatch) -> Tensor | dict[str, Tensor]:
    """The mask, or one for each kind of layer where a model mixes full and sliding-window attention."""
    config = config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    if unknown := kinds - {"full_attention", "sliding_attention"}:
        raise ToolwiseError(
            f"layers of type {sorted(unknown)} cannot attend along a tree",
            where=f"model type {config.model_type!r}",
            mend="use a model with full or sliding-window attention",
        )
    window = getattr(config, "sliding_window", None)
    if kinds == {"full_attention"} or (not kinds and window is None):
        return batch.attention_mask()
    if not kinds:
        return batch.attention_mask(window)
    return {
        "full_attention": batch.attention_mask(),
        "sliding_attention": batch.attention_mask(window),
    }


def _scale(config: Any) -> float:
    """Factor on the logits: Granite divides by ``logits_scaling``, Cohere multiplies by ``logit_scale``."""
    config = config.get_text_config()
    return float(getattr(config, "logit_scale", None) or 1.0) / float(
        getattr(config, "logits_scaling", None) or 1.0
    )


def _softcap(config: Any) -> float | None:
    """Gemma's limit c: logits become c·tanh(logits / c)."""
    cap = getattr(config.get_text_config(), "final_logit_softcapping", None)
    return None if cap is None else float(cap)


class _ChunkedLogProbs(torch.autograd.Function):
    """Linear layer, log-softmax and gather, chunk by chunk.

    The backward pass computes the logits again, unless a single chunk holds them all: that one is kept.
    """

    @staticmethod
    def _logits(
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        scale: float,
        cap: float | None,
        temperature: float,
        room: Tensor,
    ) -> Tensor:
        """Logits (n, V) in the first rows of `room`, float32 or wider."""
        logits = room[: len(hidden)]
        if weight.dtype == room.dtype:
            torch.mm(hidden, weight.t(), out=logits)
            if bias is not None:
                logits.add_(bias)
        else:
            logits.copy_(nn.functional.linear(hidden, weight, bias))
        if scale != 1.0:
            logits.mul_(scale)
        if cap is not None:
            logits.div_(cap).tanh_().mul_(cap)
        if temperature != 1.0:
            logits.div_(temperature)
        return logits

    @staticmethod
    def _rooms(hidden: Tensor, weight: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """Two tables (chunk, V) that all chunks use in turn.

        Tables made and freed chunk by chunk leave holes in the heap of a CPU's allocator, and the process
        grows with the number of tokens after all.
        """
        shape = min(chunk, len(hidden)), weight.shape[0]
        wide = torch.promote_types(weight.dtype, torch.float32)
        return hidden.new_empty(shape, dtype=wide), hidden.new_empty(shape, dtype=wide)

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        scale: float,
        cap: float | None,
        temperature: float,
        with_entropy: bool,
    ) -> tuple[Tensor, Tensor]:
        """Shapes: hidden (N, D), weight (V, D), bias (V,), targets (N,); returns two of shape (N,)."""
        chunk = max(1, CHUNK_ELEMENTS // weight.shape[0])
        room, spare = _ChunkedLogProbs._rooms(hidden, weight, chunk)
        found, norms, entropies = [], [], []
        for start in range(0, len(targets), chunk):
            at = slice(start, start + chunk)
            logits = _ChunkedLogProbs._logits(hidden[at], weight, bias, scale, cap, temperature, room)
            largest = logits.amax(-1)
            logits.sub_(largest[:, None])
            mass = torch.exp(logits, out=spare[: len(logits)])
            total = mass.sum(-1)
            found.append(logits.gather(-1, targets[at, None])[:, 0] - total.log())
            if with_entropy:
                mean = torch.bmm(mass[:, None], logits[..., None]).flatten()
                entropies.append(total.log() - mean / total)
            norms.append(total.log().add_(largest))
        logprobs, norm = torch.cat(found), torch.cat(norms)
        entropy = torch.cat(entropies) if with_entropy else torch.zeros_like(logprobs)
        # Kept below their largest; what is above is the logarithm of their sum.
        kept, above = (logits, total.log()) if len(found) == 1 and cap is None else (None, None)
        ctx.save_for_backward(hidden, weight, bias, targets, norm, entropy, kept, above)
        ctx.settings = (scale, cap, temperature, chunk)
        ctx.set_materialize_grads(False)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """With p the probabilities: d logprob = onehot − p, d entropy = −p·(log p + entropy)."""
        hidden, weight, bias, targets, norm, entropy, kept, above = ctx.saved_tensors
        scale, cap, temperature, chunk = ctx.settings
        grad_logprob, grad_entropy = gradients
        if grad_logprob is None:
            grad_logprob = torch.zeros_like(norm)
        wide = torch.promote_types(weight.dtype, torch.float32)
        grad_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight, dtype=wide) if ctx.needs_input_grad[1] else None
        grad_bias = torch.zeros_like(bias, dtype=wide) if ctx.needs_input_grad[2] else None
        room, spare = _ChunkedLogProbs._rooms(hidden, weight, chunk)
        for start in range(0, len(targets), chunk):
            at = slice(start, start + chunk)
            bend, size = None, 1.0
            if kept is None:
                logits = _ChunkedLogProbs._logits(hidden[at], weight, bias, scale, cap, temperature, room)
                bend = None if cap is None else 1 - (logits * (temperature / cap)).square()
                logits.sub_(norm[at, None])
            elif grad_entropy is None:
                logits, size = kept, above.neg().exp_()
            else:
                logits = torch.sub(kept, above[:, None], out=room)
            slope = torch.exp(logits, out=spare[: len(logits)])
            if grad_entropy is not None:
                logits.add_(entropy[at, None]).mul_(grad_entropy[at, None]).add_(grad_logprob[at, None])
                slope.mul_(logits).neg_()
            else:
                slope.mul_((-grad_logprob[at] * size)[:, None])
            slope.scatter_add_(-1, targets[at, None], grad_logprob[at, None])
            if bend is not None:
                slope.mul_(bend)
            if scale != temperature:
                slope.mul_(scale / temperature)
            slope = slope.to(hidden.dtype)
            if grad_hidden is not None:
                grad_hidden[at] = slope @ weight
            if grad_weight is not None:
                grad_weight.addmm_(slope.t().to(wide), hidden[at].to(wide))
            if grad_bias is not None:
                grad_bias += slope.sum(0)
        grad_weight = None if grad_weight is None else grad_weight.to(weight.dtype)
        grad_bias = None if grad_bias is None else grad_bias.to(bias.dtype)
        return grad_hidden, grad_weight, grad_bias, None, None, None, None, None
