"""What can be told from the rollouts themselves: typed errors, why they stopped, what was trained."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from toolwise.core import ErrorKind, StopReason
from toolwise.reports.findings import Finding, Severity
from toolwise.reports.run_folder import Record, RunContents, Stage


@dataclass(slots=True)
class Tally:
    """Counts over the rollouts of a stage.

    Attributes:
        rollouts: Number of rollouts, in training and in evaluation.
        calls: Tool calls written.
        results: Results given back to the model.
        errors: Failed results by kind.
        stops: Rollouts by the reason they ended.
        written: Tokens that the policy wrote in training rollouts whose advantages or weights are recorded.
        trained: Those among them that pull on the policy.
    """

    rollouts: int = 0
    calls: int = 0
    results: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    written: int = 0
    trained: int = 0

    def add(self, record: Record) -> None:
        """Count one rollout."""
        self.rollouts += 1
        self.stops[str(record.get("stop"))] += 1
        for turn in record["turns"]:
            if not isinstance(turn, dict):
                continue
            self.calls += len(turn.get("calls") or ())
            for result in turn.get("results") or ():
                self.results += 1
                if isinstance(result, dict) and result.get("error"):
                    self.errors[str(result["error"])] += 1
            pull = turn.get("advantages") or turn.get("weights")
            if turn.get("role") == "assistant" and pull and record.get("split") != "eval":
                self.written += len(pull)
                self.trained += sum(value != 0 for value in pull)


def tally_rollouts(run: RunContents, stage: Stage) -> Tally:
    """Count over all rollouts of a stage, one line in memory at a time."""
    tally = Tally()
    for _, _, record in run.rollouts(stage):
        tally.add(record)
    return tally


def rollout_findings(tally: Tally) -> list[Finding]:
    """What the counts say."""
    checks = (_failures(tally), _timeouts(tally), _endless(tally), _context(tally), _untrained(tally))
    return [finding for finding in checks if finding]


def _failures(tally: Tally) -> Finding | None:
    failed = sum(tally.errors.values())
    if tally.results == 0 or failed / tally.results < 0.1:
        return None
    kinds = ", ".join(f"{kind} {count}" for kind, count in tally.errors.most_common())
    share = failed / tally.results
    return Finding(
        Severity.SERIOUS if share >= 0.3 else Severity.WARNING,
        "Many tool calls fail",
        f"{failed} of {tally.results} results are errors ({share:.0%}): {kinds}.",
        "Read some in the report's rollout browser (filter: error). Malformed calls and bad arguments are "
        "the policy's and fall with training; failures are the tool's.",
    )


def _timeouts(tally: Tally) -> Finding | None:
    slow = tally.errors[ErrorKind.TIMEOUT]
    if tally.results == 0 or slow / tally.results < 0.05:
        return None
    return Finding(
        Severity.WARNING,
        "Tools run into their time limit",
        f"{slow} of {tally.results} calls timed out ({slow / tally.results:.0%}).",
        "Raise the tool's time limit, or find out what makes it slow; a timeout rewards not calling.",
    )


def _endless(tally: Tally) -> Finding | None:
    cut = tally.stops[StopReason.MAX_TURNS]
    if tally.rollouts == 0 or cut / tally.rollouts < 0.3:
        return None
    return Finding(
        Severity.SERIOUS if cut / tally.rollouts >= 0.6 else Severity.WARNING,
        "Calls go on without end",
        f"{cut} of {tally.rollouts} rollouts ended at the limit of turns ({cut / tally.rollouts:.0%}), with "
        f"{tally.calls / tally.rollouts:.1f} calls a rollout.",
        "Reward answers, add a tool coefficient, and check that results reach the model in its own format.",
    )


def _context(tally: Tally) -> Finding | None:
    full = tally.stops[StopReason.CONTEXT]
    if tally.rollouts == 0 or full / tally.rollouts < 0.1:
        return None
    return Finding(
        Severity.WARNING,
        "Rollouts fill the context",
        f"{full} of {tally.rollouts} rollouts ended with a full context ({full / tally.rollouts:.0%}).",
        "Cut tool results shorter or raise the context length.",
    )


def _untrained(tally: Tally) -> Finding | None:
    if tally.written == 0 or tally.trained / tally.written >= 0.05:
        return None
    nothing = tally.trained == 0
    return Finding(
        Severity.SERIOUS if nothing else Severity.WARNING,
        "Nothing is trained on" if nothing else "Hardly anything is trained on",
        f"{tally.trained} of {tally.written} tokens of the policy have an advantage or weight other than 0.",
        "Equal rewards within groups, or a mask that hides the policy's turns: see `toolwise show mask`.",
    )
