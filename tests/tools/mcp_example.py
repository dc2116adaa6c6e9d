"""A real MCP server for the tests, a process of its own: over stdio, or HTTP where a port is given."""

import os
import sys
from dataclasses import dataclass

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("example")
seen: list[str] = []


@dataclass
class Sum:
    total: int


@server.tool(name="math.add", title="Add")
def add(a: int, b: int) -> Sum:
    """Add two numbers."""
    return Sum(a + b)


@server.tool()
def note(text: str, session: str = "") -> str:
    """Remember a text; gives all that this server remembers."""
    seen.append(text + session)
    return " ".join(seen)


@server.tool()
def refuse(why: str) -> str:
    """Fail."""
    raise ToolError(why)


@server.tool()
def picture() -> list:
    """A text and an image."""
    return ["a dot", Image(data=b"12345", format="png")]


@server.tool()
def flood(count: int) -> str:
    """Much text."""
    return "x" * count


@server.tool()
async def wait(seconds: float) -> str:
    """Wait."""
    await anyio.sleep(seconds)
    return "waited"


@server.tool()
def freeze() -> str:
    """Stop answering at all, as a server that hangs does."""
    os.kill(os.getpid(), 19)
    return ""


@server.tool()
def process() -> int:
    """The number of this server's process."""
    return os.getpid()


@server.tool()
def variable(name: str) -> str:
    """An environment variable."""
    return os.environ.get(name, "(not set)")


@server.tool()
def header(name: str, context: Context) -> str:
    """A header of the request."""
    return context.request_context.request.headers.get(name, "(not sent)")


if __name__ == "__main__":
    if sys.argv[1:]:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
