"""Tools: what the policy may call, under limits, and what it reads when a call goes wrong."""

from toolwise.tools.ask_user import ask_user
from toolwise.tools.calculator import calculator
from toolwise.tools.config import (
    AskUserConfig,
    CalculatorConfig,
    EndpointUserConfig,
    FunctionConfig,
    ScriptedUserConfig,
    SearchConfig,
    ToolConfig,
    build_toolbox,
)
from toolwise.tools.played_user import PlayedUser
from toolwise.tools.search import search_tool
from toolwise.tools.search_index import Passage, SearchIndex
from toolwise.tools.session import Session
from toolwise.tools.tool import FatalToolError, Tool, ToolError, tool
from toolwise.tools.toolbox import Toolbox

__all__ = [
    "AskUserConfig",
    "CalculatorConfig",
    "EndpointUserConfig",
    "FatalToolError",
    "FunctionConfig",
    "Passage",
    "PlayedUser",
    "ScriptedUserConfig",
    "SearchConfig",
    "SearchIndex",
    "Session",
    "Tool",
    "ToolConfig",
    "ToolError",
    "Toolbox",
    "ask_user",
    "build_toolbox",
    "calculator",
    "search_tool",
    "tool",
]
