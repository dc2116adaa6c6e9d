"""One call of an operation: the request that it makes, and what comes back, both within bounds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import quote

import httpx2

from toolwise.core import ErrorKind
from toolwise.tools.openapi_document import Operation, Placed
from toolwise.tools.tool import ToolError

MAX_READ = 1 << 20
"""Bytes of an answer that are read at most."""

MAX_REDIRECTS = 5

_DELIMITERS = {"form": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
_READABLE = re.compile(r"^(text/|application/([\w.+-]*\+)?(json|xml|yaml|javascript|x-ndjson))", re.I)


class Calls:
    """The HTTP client of one rollout: cookies that one gets are not sent by another. A session holds it.

    Args:
        headers: Sent with each request.
        verify: The context for TLS.
        cookies: To begin with.
    """

    def __init__(self, headers: Mapping[str, str], verify: Any, cookies: Any = None) -> None:
        self._headers, self._verify = headers, verify
        self.client = httpx2.AsyncClient(
            headers={"Accept": "application/json, */*;q=0.5", "Accept-Encoding": "identity"} | dict(headers),
            cookies=cookies,
            verify=verify,
            timeout=None,  # the tool's own limit cancels the call
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close its connections."""
        await self.client.aclose()

    def fork(self) -> Self:
        """Another one with the same cookies."""
        cookies = httpx2.Cookies(self.client.cookies)
        return type(self)(self._headers, self._verify, cookies)


def request_of(
    operation: Operation, arguments: Mapping[str, Any], base_url: str, client: httpx2.AsyncClient
) -> httpx2.Request:
    """The request for a call.

    Args:
        operation: What is called.
        arguments: By the names of its schema, already checked.
        base_url: Where the service is.
        client: Makes the request.

    Raises:
        ToolError: A value cannot stand where it belongs.
        ToolError: The request would leave the service.
    """
    path = operation.path
    query: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    for spot in operation.placed:
        if spot.argument not in arguments:
            continue
        value = arguments[spot.argument]
        if spot.place == "path":
            path = path.replace(f"{{{spot.name}}}", _path_segment(spot, value))
        elif spot.place == "query":
            query += _query_pairs(spot, value)
        else:
            headers[spot.name] = _header_value(spot, value)
    body: dict[str, Any] = {}
    if operation.body in arguments and operation.body:
        body = _body(operation.body_type, arguments[operation.body])
        headers |= body.pop("headers", {})
    base = httpx2.URL(base_url)
    target = httpx2.URL(f"{base_url.partition('?')[0].rstrip('/')}/{path.removeprefix('/')}")
    if not _same_service(base, target) or not target.path.startswith(base.path.rstrip("/") + "/"):
        raise ToolError("the path leads out of the service")
    params: list[Any] = [*base.params.multi_items(), *target.params.multi_items(), *query]
    return client.build_request(
        operation.method, target.copy_with(query=None), params=params, headers=headers, **body
    )


async def answer_of(request: httpx2.Request, client: httpx2.AsyncClient) -> str:
    """Send a request; what comes back, as text of at most `MAX_READ` bytes.

    Redirects are followed to the same scheme, host and port only.

    Raises:
        ToolError: The service cannot be reached, answers with an error, or sends elsewhere.
    """
    service = request.url
    try:
        for _ in range(MAX_REDIRECTS + 1):
            response = await client.send(request, stream=True)
            try:
                if response.next_request is None:
                    return await _text(response)
                if not _same_service(service, response.next_request.url):
                    raise ToolError("the service sends to another address, which is not followed")
                request = response.next_request
            finally:
                await response.aclose()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ToolError(f"the service cannot be reached: {str(error) or type(error).__name__}") from error
    raise ToolError("the service sends from one address to the next without end")


async def _text(response: httpx2.Response) -> str:
    read = b""
    whole = True
    async for chunk in response.aiter_bytes():
        read += chunk
        if len(read) > MAX_READ:
            read, whole = read[:MAX_READ], False
            break
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    if kind and not _READABLE.match(kind) and "form-urlencoded" not in kind:
        text = f"[{kind}, {'' if whole else 'more than '}{len(read)} bytes]" if read else ""
    else:
        text = read.decode(_encoding(response), "replace")
        text += "" if whole else "\n[… the rest was not read …]"
    status = f"{response.status_code} {response.reason_phrase}".strip()
    if response.status_code >= 300:
        raise ToolError(f"the service answers {status}" + (f": {text}" if text.strip() else ""))
    return text if text.strip() else f"(no content, status {status})"


def _encoding(response: httpx2.Response) -> str:
    try:
        "".encode(response.charset_encoding or "utf-8")
    except (LookupError, UnicodeError):
        return "utf-8"
    return response.charset_encoding or "utf-8"


def _same_service(one: httpx2.URL, other: httpx2.URL) -> bool:
    def place(url: httpx2.URL) -> tuple[str, str, int | None]:
        return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)

    return place(one) == place(other) and other.userinfo in (b"", one.userinfo)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _joined(spot: Placed, value: Any, delimiter: str) -> str:
    if spot.as_json:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return delimiter.join(_scalar(element) for element in value)
    if isinstance(value, dict):
        if spot.explode:
            return delimiter.join(f"{key}={_scalar(element)}" for key, element in value.items())
        return delimiter.join(f"{key}{delimiter}{_scalar(element)}" for key, element in value.items())
    return _scalar(value)


def _path_segment(spot: Placed, value: Any) -> str:
    text = _joined(spot, value, ",")
    if text in ("", ".", ".."):
        # They would name another path than the operation's.
        raise ToolError(
            f"argument '{spot.argument}': '{text}' cannot stand in a path", kind=ErrorKind.BAD_ARGUMENTS
        )
    return quote(text, safe=",", errors="replace")


def _query_pairs(spot: Placed, value: Any) -> list[tuple[str, str]]:
    if spot.as_json or not isinstance(value, list | dict):
        return [(spot.name, _joined(spot, value, ","))]
    if isinstance(value, dict):
        if spot.style == "deepObject":
            return [(f"{spot.name}[{key}]", _scalar(element)) for key, element in value.items()]
        if spot.explode:
            return [(str(key), _scalar(element)) for key, element in value.items()]
    elif spot.explode:
        return [(spot.name, _scalar(element)) for element in value]
    return [(spot.name, _joined(spot, value, _DELIMITERS.get(spot.style, ",")))]


def _header_value(spot: Placed, value: Any) -> str:
    text = _joined(spot, value, ",")
    if not re.fullmatch(r"[\x20-\x7e]*", text):
        raise ToolError(
            f"argument '{spot.argument}': a header holds printable ASCII in one line only",
            kind=ErrorKind.BAD_ARGUMENTS,
        )
    return text


def _body(kind: str, value: Any) -> dict[str, Any]:
    plain = kind.partition(";")[0].strip().lower()
    if plain == "application/x-www-form-urlencoded":
        if not isinstance(value, dict):
            raise ToolError("argument 'body': a form is an object", kind=ErrorKind.BAD_ARGUMENTS)
        fields = {
            key: [_scalar(part) for part in element] if isinstance(element, list) else _scalar(element)
            for key, element in value.items()
        }
        return {"data": fields}
    if plain == "text/plain":
        return {"content": _scalar(value).encode("utf-8", "replace"), "headers": {"Content-Type": kind}}
    content = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return {"content": content, "headers": {"Content-Type": "application/json" if kind == "*/*" else kind}}
