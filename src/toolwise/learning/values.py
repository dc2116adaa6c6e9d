"""The model of a critic: a policy's body with one number a token, and how that number is read."""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn

from toolwise.core import ToolwiseError
from toolwise.learning.logprobs import predicting_states
from toolwise.learning.packing import TokenBatch

Head = Literal["normal", "zero"]
"""Weights of the head at the beginning."""


def value_model(policy: nn.Module, seed: int, head: Head = "normal") -> Any:
    """A critic that begins as a copy of the policy, with one number a token instead of a vocabulary.

    It is the policy's architecture for token classification with a single label, as in verl: the body's
    weights are copied, and the head, a linear layer without dropout before it, is initialised as
    ``transformers`` does for this architecture (weights normal with its ``initializer_range``, bias 0).

    Args:
        policy: A Hugging Face causal language model; it stays as it is.
        seed: Decides the head's weights.
        head: Weights of the head, see `CriticConfig`.

    Returns:
        A ``…ForTokenClassification`` model on the policy's device, in its precision.

    Raises:
        ToolwiseError: ``transformers`` knows no token classification for this architecture.
    """
    from transformers import AutoModelForTokenClassification

    config: Any = copy.deepcopy(policy.config)
    config.num_labels = 1
    config.classifier_dropout = 0.0
    first = next(policy.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = AutoModelForTokenClassification.from_config(
                config, dtype=first.dtype, attn_implementation=config._attn_implementation
            )
        except ValueError as error:
            raise ToolwiseError(
                f"a model of type {config.model_type!r} has no head for values",
                where="critic",
                mend="take an advantage without a critic, such as grpo, or another model",
            ) from error
    model.get_decoder().load_state_dict(policy.get_decoder().state_dict())  # type: ignore[operator]
    if head == "zero":
        nn.init.zeros_(_head(model).weight)
    return model.to(first.device)


def token_values(model: nn.Module, batch: TokenBatch) -> Tensor:
    """Value of the state before every trained token of a batch, shape (N,), float32 or wider.

    It is read at the place that predicts the token. Rollouts that share a token share the state before it,
    and its value.

    Args:
        model: From `value_model`.
        batch: Packed trees, on the model's device.
    """
    head = _head(model)
    states = predicting_states(model, batch)
    with torch.autocast(states.device.type, enabled=False):
        wide = torch.promote_types(head.weight.dtype, torch.float32)
        bias = None if head.bias is None else head.bias.to(wide)
        return nn.functional.linear(states.to(wide), head.weight.to(wide), bias)[:, 0]


def _head(model: nn.Module) -> Any:
    return getattr(model, "score", None) or model.get_submodule("classifier")
