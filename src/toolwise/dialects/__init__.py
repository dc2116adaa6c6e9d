"""Dialects: how a turn is written and read, one file each. Token ids in, token ids out."""

from toolwise.dialects.config import (
    CustomDialectConfig,
    DialectConfig,
    HermesConfig,
    SearchR1Config,
    ToolRLConfig,
    build_dialect,
)
from toolwise.dialects.dialect import Dialect, ParsedTurn
from toolwise.dialects.hermes import HermesDialect
from toolwise.dialects.search_r1 import SearchR1Dialect
from toolwise.dialects.toolrl import ToolRLDialect

__all__ = [
    "CustomDialectConfig",
    "Dialect",
    "DialectConfig",
    "HermesConfig",
    "HermesDialect",
    "ParsedTurn",
    "SearchR1Config",
    "SearchR1Dialect",
    "ToolRLConfig",
    "ToolRLDialect",
    "build_dialect",
]
