"""Tools: what the policy may call, under limits, and what it reads when a call goes wrong."""

from toolwise.tools.ask_user import ask_user
from toolwise.tools.calculator import calculator
from toolwise.tools.config import (
    AskUserConfig,
    CalculatorConfig,
    FunctionConfig,
    PythonConfig,
    SearchConfig,
    ToolConfig,
    build_toolbox,
)
from toolwise.tools.python import python_tool
from toolwise.tools.search import search_tool
from toolwise.tools.search_index import Passage, SearchIndex
from toolwise.tools.session import Session
from toolwise.tools.tool import Tool, ToolError, tool
from toolwise.tools.toolbox import Toolbox

__all__ = [
    "AskUserConfig",
    "CalculatorConfig",
    "FunctionConfig",
    "Passage",
    "PythonConfig",
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
    "python_tool",
    "search_tool",
    "tool",
]
