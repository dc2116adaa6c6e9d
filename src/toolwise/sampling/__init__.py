"""Sampling: token ids in, token ids and log-probabilities out; and chat models, text in, text out."""

import importlib
from typing import TYPE_CHECKING

from toolwise.sampling.chat import (
    ChatBudgetError,
    ChatModel,
    ChatParams,
    ChatReply,
    ChatUnavailableError,
    ContextLengthError,
)
from toolwise.sampling.sampler import FinishReason, Sample, Sampler, SamplingParams

if TYPE_CHECKING:
    from toolwise.core.endpoint import ChatBudget, ChatConfig
    from toolwise.sampling.chat_client import EndpointChat
    from toolwise.sampling.config import EmbeddedConfig, SamplerConfig, VLLMConfig
    from toolwise.sampling.engine import EmbeddedSampler
    from toolwise.sampling.vllm import VLLMSampler

_HOMES = {
    "ChatBudget": "toolwise.core.endpoint",
    "ChatConfig": "toolwise.core.endpoint",
    "EmbeddedConfig": "toolwise.sampling.config",
    "EmbeddedSampler": "toolwise.sampling.engine",
    "EndpointChat": "toolwise.sampling.chat_client",
    "SamplerConfig": "toolwise.sampling.config",
    "VLLMConfig": "toolwise.sampling.config",
    "VLLMSampler": "toolwise.sampling.vllm",
}

__all__ = [
    "ChatBudget",
    "ChatBudgetError",
    "ChatConfig",
    "ChatModel",
    "ChatParams",
    "ChatReply",
    "ChatUnavailableError",
    "ContextLengthError",
    "EmbeddedConfig",
    "EmbeddedSampler",
    "EndpointChat",
    "FinishReason",
    "Sample",
    "Sampler",
    "SamplerConfig",
    "SamplingParams",
    "VLLMConfig",
    "VLLMSampler",
]


def __getattr__(name: str) -> object:
    """Import the engine, and torch with it, or the client only when it is asked for."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
