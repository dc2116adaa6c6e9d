"""The page of a MinPrompt folder: the graph, what the set covers, questions, what was left out."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from toolwise.core import ToolwiseError, seed_for

SAMPLES = 6
"""Questions of each type on the page."""
LISTED = 200
"""Covered entities on the page."""


@dataclass(frozen=True, slots=True)
class PageContents:
    """What the page shows.

    Attributes:
        name: Of the folder.
        stages: The reports of the stages, in order.
        samples: Records with ``question``, ``answer``, ``label``, ``route`` and ``context``.
        covered: Entities that a selected sentence names, and in how many sentences they stand.
        trained: Rows with ``shots``, ``seeds``, ``f1``, ``f1_sd``, ``em``, ``em_sd``.
        settings: As YAML.
    """

    name: str
    stages: Sequence[Mapping[str, Any]]
    samples: Sequence[Mapping[str, Any]]
    covered: Sequence[tuple[str, int]]
    trained: Sequence[Mapping[str, Any]]
    settings: str


def write_minprompt_page(path: Path, contents: PageContents) -> Path:
    """Write one self-contained page; everything that came from texts or models is escaped.

    Raises:
        ToolwiseError: It cannot be written.
    """
    template = files("toolwise.reports").joinpath("assets", "minprompt.html.j2").read_text(encoding="utf-8")
    by_type: dict[str, list[Mapping[str, Any]]] = {}
    for row in contents.samples:
        by_type.setdefault(f"{row['label']}, {row['route']}", []).append(row)
    rng = random.Random(seed_for("page", contents.name))
    shown = {kind: rng.sample(rows, min(SAMPLES, len(rows))) for kind, rows in sorted(by_type.items())}
    stages = {stage["stage"]: stage for stage in contents.stages}
    histogram = stages.get("graph", {}).get("figures", {}).get("degrees", [])
    page = (
        Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        .from_string(template)
        .render(
            name=contents.name,
            stages=contents.stages,
            histogram=histogram,
            tallest=max((row[2] for row in histogram), default=1),
            covered=contents.covered[:LISTED],
            covered_total=len(contents.covered),
            samples=shown,
            counts={kind: len(rows) for kind, rows in by_type.items()},
            trained=contents.trained,
            settings=contents.settings,
        )
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(page.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise ToolwiseError(
            f"the page cannot be written: {error.strerror}", where=str(path), mend="check disk and rights"
        ) from error
    return path
