"""What a vector file is compared with: one `Check` a value, and the reading of the files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toolwise.core import ToolwiseError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison.

    Attributes:
        name: Which value of which case.
        problem: How ours differs; empty if it agrees.
    """

    name: str
    problem: str = ""


def check(name: str, compute: Callable[..., str], *arguments: Any) -> Check:
    """Run one comparison; an exception of ours is a disagreement that names it.

    Args:
        name: Which value of which case.
        compute: Gives the difference, empty if there is none.
        *arguments: Its arguments.
    """
    try:
        return Check(name, compute(*arguments))
    except Exception as error:
        return Check(name, f"raised {type(error).__name__}: {error}")


def difference(ours: Any, expected: Any, tolerance: float) -> str:
    """How two values differ, empty if they agree within the tolerance, absolute or relative.

    Args:
        ours: A number, string, None, mapping or (nested) sequence.
        expected: The same; of a mapping, only the expected keys are compared.
        tolerance: For numbers.
    """
    if isinstance(expected, Mapping):
        if not isinstance(ours, Mapping):
            return f"{ours!r}, expected {expected!r}"
        for key, value in expected.items():
            if key not in ours:
                return f"no '{key}'"
            found = difference(ours[key], value, tolerance)
            if found:
                return f"{key}: {found}"
        return ""
    if expected is None or isinstance(expected, str) or ours is None or isinstance(ours, str):
        return "" if ours == expected else f"{ours!r}, expected {expected!r}"
    mine, theirs = np.asarray(ours, dtype=float), np.asarray(expected, dtype=float)
    if mine.shape != theirs.shape:
        return f"shape {mine.shape}, expected {theirs.shape}"
    close = np.isclose(mine, theirs, rtol=tolerance, atol=tolerance, equal_nan=True)
    if close.all():
        return ""
    place = tuple(int(index) for index in np.argwhere(~close)[0])
    at = f" at {place}" if place else ""
    return f"{float(mine[place])!r}, expected {float(theirs[place])!r}{at}"


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object.

    Raises:
        ToolwiseError: If the file is not one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ToolwiseError(f"is not JSON ({error})", where=str(path), mend="fetch the file again") from error
    if not isinstance(content, dict):
        raise ToolwiseError("is not a JSON object", where=str(path), mend="fetch the file again")
    return content


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON lines file, without the ``_doc`` line.

    Raises:
        ToolwiseError: Names the line that is not a JSON object.
    """
    # Only "\n" ends a record: str.splitlines would also cut at separators inside strings.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ToolwiseError(f"is not JSON ({error})", where=f"{path}:{number}") from error
        if not isinstance(record, dict):
            raise ToolwiseError("is not a JSON object", where=f"{path}:{number}")
        if "_doc" not in record:
            yield record
