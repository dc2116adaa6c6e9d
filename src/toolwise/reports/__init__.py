"""What people look at after a run: a self-contained page, and the run doctor.

`write_report` makes one HTML file of a run folder; `diagnose` says why a run does not learn.
"""

from toolwise.reports.doctor import diagnose, findings_panel
from toolwise.reports.findings import Finding, Severity
from toolwise.reports.page import write_report
from toolwise.reports.run_folder import RunContents, Stage, read_run

__all__ = [
    "Finding",
    "RunContents",
    "Severity",
    "Stage",
    "diagnose",
    "findings_panel",
    "read_run",
    "write_report",
]
