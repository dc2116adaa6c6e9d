"""One conversation with an MCP server: opened when it is needed, opened again when it was lost."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import math
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import Any

from toolwise.core import ToolwiseError
from toolwise.tools.background import wait_in_background
from toolwise.tools.limits import TimeLimitError
from toolwise.tools.tool import ToolError

CLOSE_LIMIT = 10.0
"""Seconds for a server to end by itself and then by force."""

CHECK_LIMIT = 5.0
"""Seconds for a server that may be lost to answer anything at all."""

_MAX_PAGES = 100
_MAX_REASON_CHARS = 500

OpenClient = Callable[[], AbstractAsyncContextManager[Any]]
"""Gives a context manager whose value is a connected ``mcp.Client``."""


class ConnectError(ToolError):
    """The server cannot be reached, or does not speak the protocol."""


class Connection:
    """One conversation with a server. Its coroutines run on the background loop only.

    Args:
        open_client: Opens a connection.
        starts: Bounds how many servers start at once.
        start_limit: Seconds for opening, waiting for `starts` included.
    """

    def __init__(self, open_client: OpenClient, starts: asyncio.Semaphore, start_limit: float) -> None:
        self._open_client, self._starts, self._start_limit = open_client, starts, start_limit
        self._lock = asyncio.Lock()
        self._link: _Link | None = None
        self._suspect = False
        self.opened = 0

    async def call(self, name: str, arguments: Mapping[str, Any], limit: float) -> Any:
        """Call a tool of the server.

        Returns:
            The ``CallToolResult``.

        Raises:
            TimeLimitError: No answer within `limit` seconds.
            ToolError: The server cannot be reached, was lost, or refuses the call; the next call looks
                whether it is still there, and connects anew if not.
        """
        from mcp import MCPError
        from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, REQUEST_TIMEOUT

        client = await self._connected()
        try:
            return await client.call_tool(name, dict(arguments), read_timeout_seconds=limit)
        except asyncio.CancelledError:
            self._suspect = True
            raise
        except MCPError as error:
            # What a server says of a call (JSON-RPC's own codes) is no sign that it is lost.
            self._suspect = error.code not in (INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND)
            if error.code == REQUEST_TIMEOUT:
                raise TimeLimitError(limit) from error
            raise ToolError(f"the server did not do it: {error.message[:_MAX_REASON_CHARS]}") from error
        except Exception as error:
            self._suspect = True
            raise ToolError(f"the server's answer is of no use: {_reason(error)}") from error

    async def tools(self) -> list[Any]:
        """All tools that the server has now, as ``mcp.types.Tool``.

        Raises:
            ToolError: It cannot be reached, or does not say.
        """
        client = await self._connected()
        found: list[Any] = []
        cursor: str | None = None
        try:
            for _ in range(_MAX_PAGES):
                page = await client.list_tools(cursor=cursor)
                found += page.tools
                cursor = page.next_cursor
                if cursor is None:
                    return found
        except Exception as error:
            raise ToolError(f"it does not list its tools: {_reason(error)}") from error
        raise ToolError(f"its list of tools has more than {_MAX_PAGES} pages")

    async def close(self) -> None:
        """End the conversation, and a server that was started for it; safe to call twice."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _connected(self) -> Any:
        async with self._lock:
            if self._link is not None and (
                self._link.ended or (self._suspect and not await self._link.answers())
            ):
                await self.close()
            if self._link is None:
                self._link = _Link(self._open_client, self._starts, self._start_limit)
                self.opened += 1
            self._suspect = False
            try:
                return await self._link.client()
            except ToolError:
                await self.close()
                raise


class _Link:
    """A connection from its opening to its end, in one task: anyio's scopes must not change tasks."""

    def __init__(self, open_client: OpenClient, starts: asyncio.Semaphore, start_limit: float) -> None:
        import anyio

        self._ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()
        self._scope = anyio.CancelScope()
        self._task = asyncio.create_task(self._live(open_client, starts, start_limit))
        _links.add(self)

    @property
    def ended(self) -> bool:
        """Whether the transport has gone by itself."""
        return self._task.done()

    async def client(self) -> Any:
        """The connected client, once it is.

        Raises:
            ConnectError: It could not be connected.
        """
        return await asyncio.shield(self._ready)

    async def answers(self) -> bool:
        """Whether the server says anything."""
        import anyio

        with anyio.move_on_after(CHECK_LIMIT), contextlib.suppress(Exception):
            await (await self.client()).list_tools()
            return True
        return False

    async def close(self) -> None:
        """Come to the end; whatever happens then, is over within `CLOSE_LIMIT`."""
        if self._ready.done():
            self._closing.set()
        else:
            self._scope.cancel()
        await asyncio.wait({self._task})

    async def _live(self, open_client: OpenClient, starts: asyncio.Semaphore, start_limit: float) -> None:
        import anyio

        error: BaseException | None = None
        waiting = ExitStack()
        try:
            with self._scope as scope:
                scope.deadline = anyio.current_time() + start_limit
                await starts.acquire()
                waiting.callback(starts.release)
                async with open_client() as client:
                    waiting.close()
                    scope.deadline = math.inf
                    self._ready.set_result(client)
                    await self._closing.wait()
                    scope.deadline = anyio.current_time() + CLOSE_LIMIT
        except BaseException as raised:
            # Nobody waits for this task; who waits for the client is told below.
            error = raised
        finally:
            waiting.close()
            _links.discard(self)
            if not self._ready.done():
                why = _reason(error) if error is not None else f"no answer within {start_limit:g} s"
                self._ready.set_exception(ConnectError(f"the server cannot be reached: {why}"))
                self._ready.exception()  # it is no fault if nobody waits any more


_links: set[_Link] = set()
"""All that is open, for the end of a program that does not close it."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_links.clear)  # they are the parent's to close


async def _close_all() -> None:
    await asyncio.gather(*(link.close() for link in list(_links)))


@atexit.register
def _close_at_exit() -> None:
    if _links:
        wait_in_background(_close_all())


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error) or type(error).__name__
    return " ".join(text.split())[:_MAX_REASON_CHARS]


def require_mcp() -> None:
    """Import the package, so that it is missed before a run begins.

    Raises:
        ToolwiseError: It is not installed.
    """
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise ToolwiseError(
            f"tools of MCP servers need a package that is not there: {error.name}",
            mend="pip install 'toolwise[mcp]'",
        ) from error
    # What it logs would stand between the lines of the run; what matters is in the errors.
    logging.getLogger("mcp").addHandler(logging.NullHandler())


@asynccontextmanager
async def stdio(command: tuple[str, ...], environment: Mapping[str, str]) -> Any:
    """A client of a server that is started for it, with what it complained of in the error if it fails."""
    from mcp import Client, StdioServerParameters, stdio_client

    with _Tail() as tail:
        parameters = StdioServerParameters(command=command[0], args=list(command[1:]), env=dict(environment))
        try:
            async with Client(stdio_client(parameters, errlog=tail.file), cache=None) as client:
                yield client
        except Exception as error:
            said = tail.text()
            raise ConnectError(_reason(error) + (f"; it wrote: {said}" if said else "")) from error


@asynccontextmanager
async def streamable_http(url: str, headers: Mapping[str, str]) -> Any:
    """A client of a server at an address."""
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    # No limit on reading: a call has its own, and the stream of notifications may be silent for long.
    timeout = httpx2.Timeout(CHECK_LIMIT, read=None)
    async with (
        httpx2.AsyncClient(headers=dict(headers), timeout=timeout) as http,
        Client(streamable_http_client(url, http_client=http), cache=None) as client,
    ):
        yield client


class _Tail:
    """The last lines that a server writes to its standard error."""

    def __enter__(self) -> _Tail:
        self._kept = b""
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        self.file = os.fdopen(write, "w")
        asyncio.get_running_loop().add_reader(self._read, self._take)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.get_running_loop().remove_reader(self._read)
        self.file.close()
        os.close(self._read)

    def text(self) -> str:
        self._take()
        return " ".join(self._kept.decode("utf-8", "replace").split())[-_MAX_REASON_CHARS:]

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._read, 65536):
                self._kept = (self._kept + chunk)[-4 * _MAX_REASON_CHARS :]
