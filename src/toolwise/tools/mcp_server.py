"""Tools of a Model Context Protocol server (modelcontextprotocol.io), over stdio or streamable HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from toolwise.core import ToolwiseError
from toolwise.tools.background import in_background, in_background_to_its_end, wait_in_background
from toolwise.tools.mcp_connection import Connection, OpenClient, require_mcp, stdio, streamable_http
from toolwise.tools.mcp_content import result_text
from toolwise.tools.names import writable_names
from toolwise.tools.remote import HeaderVariables, Variable, WebAddress, header_values, values_of
from toolwise.tools.session import Session
from toolwise.tools.tool import MAX_RESULT_CHARS, Tool, ToolError


class MCPConfig(BaseModel):
    """Tools of an MCP server: one that is started (`command`), or one at an address (`url`).

    Attributes:
        command: The program and its arguments; no shell reads them.
        url: Of a server that speaks streamable HTTP.
        environment: Names of environment variables that a started server gets, besides PATH, HOME and such.
        headers: For a `url`: header → name of the environment variable with its whole value.
        tools: Only these, by the server's names; default: all that it has.
        prefix: Put in front of each name.
        session: ``rollout``: each rollout has a conversation (and a started server) of its own, so that none
            sees what another one did, and what a rollout is worth does not depend on its neighbours;
            ``shared``: one for all, right for servers that remember nothing between calls.
        time_limit: Seconds for a call.
        start_limit: Seconds for a server to start and to answer, waiting for others that start included.
        max_result_chars: Longer results are cut in the middle.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["mcp"] = "mcp"
    command: tuple[str, ...] | None = Field(default=None, min_length=1)
    url: WebAddress | None = None
    environment: tuple[Variable, ...] = ()
    headers: HeaderVariables = {}
    tools: tuple[str, ...] | None = Field(default=None, min_length=1)
    prefix: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,32}$")
    session: Literal["rollout", "shared"] = "rollout"
    time_limit: float = Field(default=30.0, gt=0)
    start_limit: float = Field(default=60.0, gt=0)
    max_result_chars: int = Field(default=MAX_RESULT_CHARS, ge=100)

    @model_validator(mode="after")
    def _check(self) -> MCPConfig:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either 'command' or 'url'")
        if self.command is None and self.environment:
            raise ValueError("'environment' is for a server that is started; for a 'url' there are 'headers'")
        if self.url is None and self.headers:
            raise ValueError("'headers' are for a 'url'; a started server has 'environment'")
        return self

    @property
    def label(self) -> str:
        """How messages call the server."""
        return f"MCP server '{self.url or ' '.join(self.command or ())}'"

    def build(self) -> list[Tool]:
        """The tools that the server has now; it is asked, and left again.

        Raises:
            ToolwiseError: The package `mcp` or an environment variable is missing, the server cannot be
                reached, or it has not the tools that are asked for.
        """
        return MCPServer(self).tools()


class MCPServer:
    """A server and the conversations with it.

    Args:
        config: Where it is, and which of its tools are wanted.

    Raises:
        ToolwiseError: The package `mcp` or an environment variable is missing.
    """

    def __init__(self, config: MCPConfig) -> None:
        require_mcp()
        self.config = config
        self._open_client = _opener(config)
        self._starts = asyncio.Semaphore(os.cpu_count() or 1)
        self._shared = self.connection()

    def connection(self) -> Connection:
        """A conversation, not begun yet."""
        return Connection(self._open_client, self._starts, self.config.start_limit)

    def tools(self) -> list[Tool]:
        """The tools, made from what the server says of them.

        Raises:
            ToolwiseError: It cannot be reached, has no such tools, or their schemas are of no use.
        """
        where = self.config.label
        try:
            found = {tool.name: tool for tool in wait_in_background(self._asked())}
        except ToolError as error:
            raise ToolwiseError(
                str(error), where=where, mend="try the command or the address by hand; look at 'start_limit'"
            ) from error
        wanted = list(found) if self.config.tools is None else list(dict.fromkeys(self.config.tools))
        missing = [name for name in wanted if name not in found]
        if missing or not wanted:
            problem = f"it has no tool '{missing[0]}'" if missing else "it has no tools"
            raise ToolwiseError(problem, where=where, mend=f"its tools are: {', '.join(found) or 'none'}")
        written = writable_names(wanted, self.config.prefix, where=where)
        return [self._tool(found[name], written[name]) for name in wanted]

    def close(self) -> None:
        """End the shared conversation; the next call begins a new one."""
        wait_in_background(self._shared.close())

    async def _asked(self) -> Sequence[Any]:
        connection = self.connection()
        try:
            return await connection.tools()
        finally:
            await connection.close()

    def _tool(self, found: Any, written: str) -> Tool:
        config = self.config

        async def call(session: Session, /, **arguments: Any) -> str:
            connection = self._shared
            if config.session == "rollout":
                held = session.held(f"mcp {id(self)}", lambda: _OfRollout(self.connection))
                connection = held.connection
            before = connection.opened
            result = await in_background(connection.call(found.name, arguments, config.time_limit))
            text = result_text(result.content, result.structured_content)
            if config.session == "rollout" and before and connection.opened > before:
                text = f"(The server was started anew and remembers no earlier calls.)\n{text}"
            if result.is_error:
                raise ToolError(text or "the tool failed and did not say why")
            return text

        return Tool(
            written,
            found.description or found.title or f"{found.name} (without a description)",
            found.input_schema,
            call,
            time_limit=config.start_limit + config.time_limit,
            max_result_chars=config.max_result_chars,
            origin=found.name if found.name != written else "",
            close=self.close,
        )


class _OfRollout:
    """A conversation that a rollout's session holds."""

    def __init__(self, make: Callable[[], Connection]) -> None:
        self._make, self.connection = make, make()

    async def close(self) -> None:
        await in_background_to_its_end(self.connection.close())

    def fork(self) -> _OfRollout:
        if self.connection.opened:
            raise ToolwiseError(
                "what an MCP server remembers of a rollout cannot be copied for a branch of it",
                mend="set 'session: shared' if it remembers nothing",
            )
        return _OfRollout(self._make)


def _opener(config: MCPConfig) -> OpenClient:
    if config.url is not None:
        url, headers = config.url, header_values(config.headers, config.label)
        return lambda: streamable_http(url, headers)
    command, environment = config.command or (), values_of(config.environment, config.label)
    return lambda: stdio(command, environment)
