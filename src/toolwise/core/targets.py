"""Targets: a user's own part, named as ``module:attribute`` in a recipe."""

from __future__ import annotations

import inspect
import pkgutil
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from toolwise.core.errors import ToolwiseError

TARGET_PATTERN = r"^[\w.]+:[\w.]+$"
"""What a target looks like."""


def load_target(target: str) -> Any:
    """What a target names; imports its module, and with it runs the module's code.

    Raises:
        ToolwiseError: The module or the attribute cannot be imported.
    """
    try:
        return pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise ToolwiseError(
            f"cannot be imported: {error}",
            where=f"target '{target}'",
            mend="write module:attribute; run the command in the module's folder, or put that on PYTHONPATH",
        ) from error


def importable(target: str) -> str:
    """The target itself, for pydantic to check when a recipe is read, before anything costly begins.

    Raises:
        ValueError: It cannot be imported; the cause is the ToolwiseError that says why.
    """
    try:
        load_target(target)
    except ToolwiseError as error:
        raise ValueError(error.problem) from error
    return target


def importable_callable(target: str) -> str:
    """As `importable`, and what it names can be called.

    Raises:
        ValueError: See `importable`; or it is a thing that cannot be called.
    """
    importable(target)
    try:
        _check_callable(target, load_target(target))
    except ToolwiseError as error:
        raise ValueError(error.problem) from error
    return target


@contextmanager
def blamed(what: str, where: str = "") -> Iterator[None]:
    """Turn what a user's own code raises into a message that tells the line; one that is told already stays.

    Args:
        what: Whose code runs, such as ``the reward function``.
        where: At what.

    Raises:
        ToolwiseError: The block raised something.
    """
    try:
        yield
    except ToolwiseError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.filename}, line {last.lineno}"
        raise ToolwiseError(
            f"{what} raised {type(error).__name__}: {error}",
            where=f"{where}, {place}" if where else place,
            mend="mend it; TOOLWISE_DEBUG=1 shows the whole traceback",
        ) from error


def call_target(target: str, *given: Any, **named: Any) -> Any:
    """Call what a target names.

    Raises:
        ToolwiseError: It cannot be imported, does not take these arguments, or raised something.
    """
    function = load_target(target)
    check_arguments(target, *given, **named)
    with blamed(f"target '{target}'"):
        return function(*given, **named)


def check_arguments(target: str, *given: Any, **named: Any) -> None:
    """Refuse arguments that what a target names does not take.

    Raises:
        ToolwiseError: Says which argument is wrong or missing, and which ones it takes.
    """
    try:
        signature = inspect.signature(load_target(target))
    except (TypeError, ValueError):
        return  # Some callables written in C have no signature.
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        raise ToolwiseError(
            f"cannot be called so: {error}",
            where=f"target '{target}'",
            mend=f"it takes {signature}; give others under 'arguments'",
        ) from error


def made_from(target: str, arguments: Mapping[str, Any]) -> Any:
    """What the target's class or function makes of the arguments: something that can be called itself.

    Raises:
        ToolwiseError: As in `call_target`, or it makes something else.
    """
    made = call_target(target, **arguments)
    _check_callable(target, made)
    return made


def _check_callable(target: str, found: Any) -> None:
    if not callable(found):
        # Only its type is said: its content may be anything, os.environ for instance.
        raise ToolwiseError(
            f"gives a {type(found).__name__}, which cannot be called",
            where=f"target '{target}'",
            mend="name a function, or a class whose objects can be called",
        )
