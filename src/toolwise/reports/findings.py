"""Finding: one thing that the run doctor has to say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is, the worst first."""

    SERIOUS = "serious"
    WARNING = "warning"
    NOTE = "note"
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in a run.

    Attributes:
        severity: How bad it is.
        title: What it is, in a few words.
        evidence: The figures and steps that show it.
        mend: What to try; empty if there is nothing to do.
        stage: The stage it was found in; empty if it concerns the whole run.
    """

    severity: Severity
    title: str
    evidence: str
    mend: str = ""
    stage: str = ""

    def at(self, stage: str) -> Finding:
        """The same finding, placed in a stage."""
        return replace(self, stage=stage)
