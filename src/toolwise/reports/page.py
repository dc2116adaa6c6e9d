"""The report: one self-contained HTML page for a run."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from toolwise.core import ToolwiseError
from toolwise.reports.boundary import Results, results_view
from toolwise.reports.browser import Embedded, embed_rollouts
from toolwise.reports.curves import Curves, Panel, stage_curves
from toolwise.reports.doctor import diagnose_folder
from toolwise.reports.island import island_json
from toolwise.reports.run_folder import RunContents, read_run

PAGE = 4_600_000
"""Bytes that curves and rollouts may take together."""

LEAST = 500_000
"""Bytes for rollouts, however many curves there are."""


def write_report(run: Path, out: Path | None = None) -> Path:
    """Write the report of a run.

    The page needs no network. What models and tools wrote is shown as text only: the template escapes it, the
    script sets it as text, and a content security policy lets no other script run.

    Args:
        run: A run folder, finished or still growing.
        out: Where to write; ``report.html`` in the run folder if not given.

    Returns:
        The file written.

    Raises:
        ToolwiseError: The folder is missing or holds no run, or the page cannot be written.
    """
    folder = read_run(run)
    target = Path(out) if out is not None else folder.path / "report.html"
    page = render_report(folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A lone surrogate in a model's text cannot be encoded; it is shown as its escape.
        target.write_bytes(page.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise ToolwiseError(
            f"the report cannot be written: {error.strerror}",
            where=str(target),
            mend="give another place with --out",
        ) from error
    return target


def render_report(run: RunContents) -> str:
    """The page as text."""
    curves = [part for stage in run.stages for part in stage_curves(stage)]
    panels = [panel for part in curves for panel in (*part.panels, *part.more)]
    curve_data = [_curve_data(panel) for panel in panels]
    drawn = sum(len(line.raw) + len(line.smooth) for panel in panels for line in panel.series)
    embedded = embed_rollouts(run, max(LEAST, PAGE - drawn - len(island_json(curve_data))))
    findings = diagnose_folder(run)
    numbers = {id(panel): number for number, panel in enumerate(panels)}
    results = results_view(run.results)
    script = _asset("report.js")
    return (
        _environment()
        .from_string(_asset("report.html.j2"))
        .render(
            run=run.name,
            stage_names=[stage.name for stage in run.stages],
            sections=_sections(run, results, curves, embedded),
            results=results,
            counts=sorted({row.questions for row in results.table}) if results else [],
            curves=curves,
            panel_number=lambda panel: numbers[id(panel)],
            embedded=len(embedded.rollouts),
            total=embedded.total,
            findings=findings,
            configs=[(f"{stage.name}: config.yaml", stage.config) for stage in run.stages if stage.config],
            broken=", ".join(f"{path} ({count})" for path, count in run.broken.items()),
            broken_total=sum(run.broken.values()),
            style=Markup(_asset("report.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            data=Markup(
                island_json(
                    {
                        "rollouts": embedded.rollouts,
                        "scale": embedded.scale,
                        "curves": curve_data,
                    }
                )
            ),
        )
    )


def _curve_data(panel: Panel) -> dict[str, Any]:
    return {"x": panel.x_range, "series": [[line.label, line.points] for line in panel.series]}


def _sections(
    run: RunContents, results: Results | None, curves: list[Curves], embedded: Embedded
) -> list[tuple[str, str]]:
    found = []
    if results:
        if results.picture:
            found.append(("boundary", "Boundary"))
        found.append(("results", "Results"))
        if results.levels or results.kinds:
            found.append(("kinds", "By kind"))
    if curves:
        found.append(("curves", "Learning curves"))
    if embedded.rollouts:
        found.append(("rollouts", "Rollouts"))
    found.append(("doctor", "Run doctor"))
    if any(stage.config for stage in run.stages):
        found.append(("config", "Configuration"))
    return found


def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def _asset(name: str) -> str:
    return files("toolwise.reports").joinpath("assets", name).read_text(encoding="utf-8")
