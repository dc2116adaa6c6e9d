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
from toolwise.dialects.toolrl import ToolRLDialect

__all__ = [
    "CustomDialectConfig",
    "Dialect",
    "DialectConfig",
    "HermesConfig",
    "HermesDialect",
    "ParsedTurn",
    "ToolRLConfig",
    "ToolRLDialect",
    "build_dialect",
]
