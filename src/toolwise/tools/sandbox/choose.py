"""Choosing the engine: one that isolates, or none at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from toolwise.core import ToolwiseError
from toolwise.tools.sandbox.bubblewrap import Bubblewrap
from toolwise.tools.sandbox.engine import Engine, SandboxLimits
from toolwise.tools.sandbox.wasi import Wasi

EngineName = Literal["auto", "bubblewrap", "wasi"]

ENGINES: Mapping[str, Callable[[SandboxLimits], Engine]] = {"bubblewrap": Bubblewrap, "wasi": Wasi}
"""In the order in which ``auto`` tries them."""


def choose_engine(name: EngineName, limits: SandboxLimits) -> Engine:
    """The engine of that name, or with ``auto`` the first one that works on this machine.

    Raises:
        ToolwiseError: None does. Code is never run unprotected instead.
    """
    refusals = []
    for candidate, build in ENGINES.items():
        if name not in ("auto", candidate):
            continue
        try:
            return build(limits)
        except ToolwiseError as error:
            refusals.append((candidate, error))
    raise ToolwiseError(
        "no way to isolate a model's code is usable: "
        + "; ".join(f"{candidate}: {error.problem}" for candidate, error in refusals),
        where="tool 'python'",
        mend="; or ".join(f"{candidate}: {error.mend}" for candidate, error in refusals),
    )
