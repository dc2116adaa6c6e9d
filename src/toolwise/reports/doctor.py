"""The run doctor: why is it not learning?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from toolwise.reports.findings import Finding, Severity
from toolwise.reports.run_folder import RunContents, Stage, numbers, read_run
from toolwise.reports.symptoms import SYMPTOMS, TREND_STEPS, Row
from toolwise.reports.tally import rollout_findings, tally_rollouts

_STYLE = {
    Severity.SERIOUS: "bold red",
    Severity.WARNING: "yellow",
    Severity.NOTE: "cyan",
    Severity.HEALTHY: "green",
}
_MARK = {Severity.SERIOUS: "✖", Severity.WARNING: "▲", Severity.NOTE: "•", Severity.HEALTHY: "✔"}


def diagnose(run: Path) -> list[Finding]:
    """Look through a run folder for the reasons why a policy does not learn.

    Args:
        run: A run folder, finished or still growing.

    Returns:
        Findings, the most serious first. Never empty: a stage in which nothing is wrong says so.

    Raises:
        ToolwiseError: The folder is missing or holds no run.
    """
    return diagnose_folder(read_run(run))


def diagnose_folder(run: RunContents) -> list[Finding]:
    """`diagnose` on a run folder that has been read."""
    found = [finding for stage in run.stages for finding in _diagnose_stage(run, stage)]
    if run.broken:
        places = ", ".join(f"{path} ({count})" for path, count in run.broken.items())
        found.append(
            Finding(
                Severity.NOTE,
                "Some lines could not be read",
                f"{sum(run.broken.values())} left out: {places}.",
                "A run that was killed leaves one broken last line; more than that means a damaged file.",
            )
        )
    if not found:
        found.append(
            Finding(Severity.NOTE, "Nothing to judge", "The folder holds no metrics and no rollouts.")
        )
    return sorted(found, key=lambda finding: list(Severity).index(finding.severity))


def findings_panel(findings: Sequence[Finding]) -> RenderableType:
    """Findings for the terminal: what, the evidence, and what to do about it."""
    parts: list[RenderableType] = []
    for finding in findings:
        style = _STYLE[finding.severity]
        head = Text(f"{_MARK[finding.severity]} ", style=style)
        if finding.stage:
            head.append(f"{finding.stage}: ", style="dim")
        parts.append(head.append(finding.title, style=style))
        parts.append(Padding(Text(finding.evidence), (0, 0, 0, 2)))
        if finding.mend:
            parts.append(Padding(Text(f"→ {finding.mend}", style="italic"), (0, 0, 0, 2)))
        parts.append(Text(""))
    return Group(*parts[:-1])


def _diagnose_stage(run: RunContents, stage: Stage) -> list[Finding]:
    found: list[Finding] = []
    phases: dict[str, list[Row]] = {}
    for record in stage.metrics:
        phases.setdefault(str(record.get("phase", "")), []).append(Row.of(record))
    for phase, rows in phases.items():
        name = f"{stage.name} · {phase}" if len(phases) > 1 else stage.name
        found += [finding.at(name) for check in SYMPTOMS if (finding := check(rows))]
        if len(rows) < TREND_STEPS:
            found.append(
                Finding(
                    Severity.NOTE,
                    "Too short to judge a trend",
                    f"{len(rows)} steps so far; trends are judged from {TREND_STEPS}.",
                    stage=name,
                )
            )
    found += [finding.at(stage.name) for finding in rollout_findings(tally_rollouts(run, stage))]
    if all(finding.severity is Severity.NOTE for finding in found):
        found.append(_healthy(stage))
    return found


def _healthy(stage: Stage) -> Finding:
    rows = [numbers(record) for record in stage.metrics]
    changes: list[str] = []
    for key, label in (("reward_mean", "reward"), ("accuracy", "accuracy"), ("loss", "loss")):
        values = [row[key] for row in rows if key in row]
        if values and not (key == "loss" and changes):  # a policy loss says nothing beside the reward
            changes.append(f"{label} {values[0]:.3g} → {values[-1]:.3g}")
    figures = "; ".join(changes) or "no rollout shows a fault"
    return Finding(
        Severity.HEALTHY,
        "Looks healthy",
        f"{len(rows)} steps, nothing out of range: {figures}.",
        stage=stage.name,
    )
