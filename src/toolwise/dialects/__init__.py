"""Dialects: how a turn is written and read, one file each. Token ids in, token ids out."""

from toolwise.dialects.config import (
    CustomDialectConfig,
    DialectConfig,
    HermesConfig,
    Llama3Config,
    MistralConfig,
    SearchR1Config,
    SmartConfig,
    ToolPromptConfig,
    ToolRLConfig,
    build_dialect,
)
from toolwise.dialects.dialect import Dialect, ParsedTurn
from toolwise.dialects.hermes import HermesDialect
from toolwise.dialects.llama3 import Llama3Dialect
from toolwise.dialects.mistral import MistralDialect
from toolwise.dialects.search_r1 import SearchR1Dialect
from toolwise.dialects.smart import SmartDialect
from toolwise.dialects.step_tools import STEP_TOOLS, StepTool
from toolwise.dialects.tool_prompt import ToolPromptDialect
from toolwise.dialects.toolrl import ToolRLDialect, assistant_text
from toolwise.dialects.toolrl_prompt import (
    toolrl_history,
    toolrl_prompt,
    toolrl_system,
    toolrl_turn,
    with_thought,
)

__all__ = [
    "STEP_TOOLS",
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
    "SearchR1Config",
    "SearchR1Dialect",
    "SmartConfig",
    "SmartDialect",
    "StepTool",
    "ToolPromptConfig",
    "ToolPromptDialect",
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
