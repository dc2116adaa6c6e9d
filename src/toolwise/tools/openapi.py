"""Tools from an OpenAPI document: each operation becomes a tool that calls the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from toolwise.core import ToolwiseError
from toolwise.tools.names import writable_names
from toolwise.tools.remote import HeaderVariables, WebAddress, header_values
from toolwise.tools.session import Session
from toolwise.tools.tool import MAX_RESULT_CHARS, TIME_LIMIT, Tool

if TYPE_CHECKING:
    from toolwise.tools.openapi_document import Operation

_LISTED = 10


class OpenAPIConfig(BaseModel):
    """The operations of a web service that an OpenAPI document describes.

    Attributes:
        document: OpenAPI 3.0 or 3.1, or Swagger 2.0, in JSON or YAML.
        base_url: Where the service is. Only this scheme, host and port is ever called, whatever the document
            or the model says.
        operations: Only these, by ``operationId`` or as ``METHOD /path``; default: all.
        headers: Header → name of the environment variable with its whole value, such as ``Bearer abc``.
        prefix: Put in front of each name.
        time_limit: Seconds for a call.
        max_result_chars: Longer answers are cut in the middle.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    type: Literal["openapi"] = "openapi"
    document: Path
    base_url: WebAddress
    operations: tuple[str, ...] | None = Field(default=None, min_length=1)
    headers: HeaderVariables = {}
    prefix: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,32}$")
    time_limit: float = Field(default=TIME_LIMIT, gt=0)
    max_result_chars: int = Field(default=MAX_RESULT_CHARS, ge=100)

    @model_validator(mode="after")
    def _check(self) -> OpenAPIConfig:
        for header in self.headers:
            if header.lower() in ("host", "content-length", "transfer-encoding", "connection"):
                raise ValueError(f"the header '{header}' is not yours to set")
        return self

    def build(self) -> list[Tool]:
        """The tools.

        Raises:
            ToolwiseError: The document cannot be read, an environment variable is missing, or operations
                that are wanted are not there or cannot be called.
        """
        from toolwise.tools.openapi_document import operations, read_document

        where = str(self.document)
        without = frozenset(header.lower() for header in self.headers)
        headers = header_values(self.headers, where)
        try:
            found, failures = operations(read_document(self.document), without)
        except ToolwiseError as error:
            raise ToolwiseError(error.problem, where=where, mend=error.mend) from error
        wanted = _chosen(found, failures, self.operations, where)
        return _tools(wanted, headers, self)


def _chosen(
    found: Sequence[Operation], failures: Mapping[str, str], wanted: Sequence[str] | None, where: str
) -> list[Operation]:
    if wanted is None:
        if failures or not found:
            listed = [f"  {route}: {reason}" for route, reason in failures.items()][:_LISTED]
            more = [f"  … and {len(failures) - _LISTED} more"] if len(failures) > _LISTED else []
            count = f"{len(failures)} of {len(found) + len(failures)} operations cannot be called"
            raise ToolwiseError(
                "\n".join([count, *listed, *more]),
                where=where,
                mend="list those that you need in 'operations'",
            )
        return list(found)
    by_name: dict[str, list[Operation]] = {}
    for operation in found:
        for name in {operation.name, operation.route}:
            by_name.setdefault(name, []).append(operation)
    chosen: list[Operation] = []
    for name in dict.fromkeys(wanted):
        if name in failures:
            raise ToolwiseError(f"operation '{name}' cannot be called: {failures[name]}", where=where)
        if len(by_name.get(name, ())) != 1:
            some = ", ".join(operation.name for operation in found[:_LISTED]) or "none"
            problem = "several operations are" if name in by_name else "no operation is"
            raise ToolwiseError(
                f"{problem} called '{name}'", where=where, mend=f"there are: {some} …; or write METHOD /path"
            )
        if by_name[name][0] not in chosen:
            chosen.append(by_name[name][0])
    return chosen


def _tools(wanted: Sequence[Operation], headers: Mapping[str, str], config: OpenAPIConfig) -> list[Tool]:
    import httpx2

    from toolwise.tools.openapi_request import Calls, answer_of, request_of

    # Made once: it reads all certificates.
    verify = httpx2.create_ssl_context()
    held = f"openapi {id(verify)}"
    routes = [operation.route for operation in wanted]
    alike = len({operation.name for operation in wanted}) < len(wanted)
    names = writable_names(
        routes if alike else [operation.name for operation in wanted],
        config.prefix,
        where=str(config.document),
    )

    def made(operation: Operation, name: str) -> Tool:
        async def call(session: Session, /, **arguments: Any) -> str:
            client = session.held(held, lambda: Calls(headers, verify)).client
            return await answer_of(request_of(operation, arguments, config.base_url, client), client)

        return Tool(
            name,
            operation.description,
            operation.parameters,
            call,
            time_limit=config.time_limit,
            max_result_chars=config.max_result_chars,
            origin=operation.name if operation.name != name else "",
        )

    return [made(operation, name) for operation, name in zip(wanted, names.values(), strict=True)]
