"""Dialects: how a turn is written and read, one file each. Token ids in, token ids out."""

from toolwise.dialects.config import (
    CustomDialectConfig,
    DialectConfig,
    HermesConfig,
    ToolRLConfig,
    build_dialect,
)
from toolwise.dialects.dialect import Dialect, ParsedTurn
from toolwise.dialects.hermes import HermesDialect
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
