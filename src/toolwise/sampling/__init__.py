"""Sampling: token ids in, token ids and log-probabilities out."""

from typing import TYPE_CHECKING

from toolwise.sampling.sampler import FinishReason, Sample, Sampler, SamplingParams

if TYPE_CHECKING:
    from toolwise.sampling.engine import EmbeddedSampler

__all__ = ["EmbeddedSampler", "FinishReason", "Sample", "Sampler", "SamplingParams"]


def __getattr__(name: str) -> object:
    """Import the engine, and torch with it, only when it is asked for."""
    if name == "EmbeddedSampler":
        from toolwise.sampling.engine import EmbeddedSampler

        return EmbeddedSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
