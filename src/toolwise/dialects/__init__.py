"""Dialects: how a turn is written and read, one file each. Token ids in, token ids out."""

from toolwise.dialects.config import (
    CustomDialectConfig,
    DialectConfig,
    HermesConfig,
    Llama3Config,
    MistralConfig,
    ToolRLConfig,
    build_dialect,
)
from toolwise.dialects.dialect import Dialect, ParsedTurn
from toolwise.dialects.hermes import HermesDialect
from toolwise.dialects.llama3 import Llama3Dialect
from toolwise.dialects.mistral import MistralDialect
from toolwise.dialects.toolrl import ToolRLDialect, assistant_text
from toolwise.dialects.toolrl_prompt import (
    toolrl_history,
    toolrl_prompt,
    toolrl_system,
    toolrl_turn,
    with_thought,
)

__all__ = [
    "CustomDialectConfig",
    "Dialect",
    "DialectConfig",
    "HermesConfig",
    "HermesDialect",
    "Llama3Config",
    "Llama3Dialect",
    "MistralConfig",
    "MistralDialect",
    "ParsedTurn",
    "ToolRLConfig",
    "ToolRLDialect",
    "assistant_text",
    "build_dialect",
    "toolrl_history",
    "toolrl_prompt",
    "toolrl_system",
    "toolrl_turn",
    "with_thought",
]
