"""What tools behind a network address have in common: where they are, and secrets from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from toolwise.core import ToolwiseError

_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ValueError(f"is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_good:
        raise ValueError("write http://HOST/… or https://HOST/…")
    if parts.username is not None or parts.password is not None:
        # What stands in a recipe is written into the run folder.
        raise ValueError("a user or password does not belong into the address; use 'headers'")
    if parts.fragment or re.search(r"[\s\\]", url):
        raise ValueError("it has a '#', a blank or a backslash")
    return url


WebAddress = Annotated[str, AfterValidator(_web_address)]
"""An http or https address without credentials."""

Variable = Annotated[str, Field(pattern=_VARIABLE)]
"""The name of an environment variable."""

HeaderVariables = dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")], Variable]
"""Header → the environment variable that holds its whole value, such as ``Bearer abc``."""


def values_of(variables: Iterable[str], where: str) -> dict[str, str]:
    """The values of environment variables.

    Raises:
        ToolwiseError: One is not set; names all of them that are not, and never a value.
    """
    names = list(variables)
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ToolwiseError(
            f"environment variables are not set: {', '.join(missing)}",
            where=where,
            mend="set them in the shell that runs the command",
        )
    return {name: os.environ[name] for name in names}


def header_values(headers: Mapping[str, str], where: str) -> dict[str, str]:
    """Headers with their values from the environment.

    Raises:
        ToolwiseError: A variable is not set, or its value cannot stand in a header.
    """
    values = values_of(headers.values(), where)
    for name in headers.values():
        if not re.fullmatch(r"[\x20-\x7e]*", values[name]):
            raise ToolwiseError(
                f"environment variable {name} has a character that no header can hold",
                where=where,
                mend="look for a line break at its end",
            )
    return {header: values[name] for header, name in headers.items()}
