"""Tools: what the policy may call, under limits, and what it reads when a call goes wrong."""

from toolwise.tools.ask_user import ask_user
from toolwise.tools.calculator import calculator
from toolwise.tools.config import (
    AskUserConfig,
    CalculatorConfig,
    DenseSearchConfig,
    EndpointUserConfig,
    FunctionConfig,
    HTTPSearchConfig,
    PythonConfig,
    ScriptedUserConfig,
    SearchConfig,
    ToolConfig,
    build_toolbox,
)
from toolwise.tools.dense_index import DenseIndex, Encoder
from toolwise.tools.http_retriever import HTTPRetriever
from toolwise.tools.mcp_server import MCPConfig
from toolwise.tools.openapi import OpenAPIConfig
from toolwise.tools.passages import Passage, Retriever
from toolwise.tools.played_user import PlayedUser
from toolwise.tools.python import python_tool
from toolwise.tools.query_cache import QueryCache
from toolwise.tools.retrieval_server import retrieval_server
from toolwise.tools.search import search_tool
from toolwise.tools.search_index import SearchIndex
from toolwise.tools.session import Resource, Session
from toolwise.tools.tool import FatalToolError, Tool, ToolError, tool
from toolwise.tools.toolbox import Toolbox

__all__ = [
    "AskUserConfig",
    "CalculatorConfig",
    "DenseIndex",
    "DenseSearchConfig",
    "Encoder",
    "EndpointUserConfig",
    "FatalToolError",
    "FunctionConfig",
    "HTTPRetriever",
    "HTTPSearchConfig",
    "MCPConfig",
    "OpenAPIConfig",
    "Passage",
    "PlayedUser",
    "PythonConfig",
    "QueryCache",
    "Resource",
    "Retriever",
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
    "python_tool",
    "retrieval_server",
    "search_tool",
    "tool",
]
