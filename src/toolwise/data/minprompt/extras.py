"""Optional packages: a clear word where one is missing."""

from __future__ import annotations

from importlib.util import find_spec

from toolwise.core import ToolwiseError


def need(module: str, extra: str, instead: str = "") -> None:
    """Refuse to go on without a package.

    Args:
        module: What is imported.
        extra: The extra of Toolwise that brings it.
        instead: What else can be done.

    Raises:
        ToolwiseError: It is not installed.
    """
    if find_spec(module) is None:
        mend = f"pip install 'toolwise[{extra}]'"
        raise ToolwiseError(
            f"the package '{module}' is not installed",
            where="minprompt",
            mend=f"{mend}, or {instead}" if instead else mend,
        )
