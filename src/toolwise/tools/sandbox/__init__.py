"""Isolation for code that a model wrote: what runs it, under which limits, and what came of it."""

from toolwise.tools.sandbox.choose import ENGINES, EngineName, choose_engine
from toolwise.tools.sandbox.engine import Engine, Outcome, SandboxLimits

__all__ = ["ENGINES", "Engine", "EngineName", "Outcome", "SandboxLimits", "choose_engine"]
