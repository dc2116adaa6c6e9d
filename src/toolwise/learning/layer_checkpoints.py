"""Gradient checkpointing of a model's layers (Chen et al. 2016, arXiv 1604.06174), on token trees too."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.learning.attention import NAMES, attending


def checkpoint_layers(model: Any) -> None:
    """Let each layer of a Hugging Face model compute its activations anew in the backward pass.

    In training only; sampling and evaluation are as they were.

    Raises:
        ToolwiseError: The model cannot do it.
    """
    config = model.config.get_text_config()

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        # Attention along trees is on in the forward pass only; the second one must attend alike.
        name = config._attn_implementation
        again = attending(model, name) if name in NAMES else nullcontext()
        return nullcontext(), again

    settings = {"use_reentrant": False, "context_fn": contexts}
    try:
        if hasattr(model, "activation_checkpointing_enable"):
            model.activation_checkpointing_enable(settings)
        else:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=settings)
        # Only the older, reentrant form needs embeddings whose output asks for gradients.
        model.disable_input_require_grads()
    except (ValueError, NotImplementedError) as error:
        raise ToolwiseError(
            f"the model cannot compute its layers anew: {error}",
            where="learner.gradient_checkpointing",
            mend="set it to false",
        ) from error
