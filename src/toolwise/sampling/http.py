"""What clients of HTTP servers share."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from toolwise.core import ToolwiseError

if TYPE_CHECKING:
    import httpx2

MAX_REPLY_BYTES = 32 * 1024 * 1024


def open_client(base_url: str, connections: int) -> httpx2.AsyncClient:
    """Connections to one server, for the event loop that runs.

    Args:
        base_url: Of the server.
        connections: Most at once.
    """
    import httpx2

    return httpx2.AsyncClient(
        timeout=None,  # each request as a whole has its limit, which also ends one that drips
        limits=httpx2.Limits(max_connections=connections),
        trust_env=not is_loopback(base_url),  # no proxy stands between a machine and itself
    )


async def read_body(response: httpx2.Response) -> bytes | None:
    """The body of an answer; None if it is longer than `MAX_REPLY_BYTES`."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > MAX_REPLY_BYTES:
            return None
    return b"".join(parts)


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_key(variable: str | None) -> str:
    """The key that an environment variable holds; empty for None.

    Raises:
        ToolwiseError: It is not set, or holds something else.
    """
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    where = f"environment variable {variable}"
    if not key:
        raise ToolwiseError("is not set", where=where, mend="put the key of the endpoint into it")
    if not key.isascii() or not key.isprintable():
        raise ToolwiseError("holds something else than a key", where=where, mend="put the key into it")
    return key
