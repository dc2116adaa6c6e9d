"""What can be told from ``metrics.jsonl``: one small check for each way in which learning fails.

Checks look at the *tail*, the last quarter of the steps (at least five), since that is where a run stands.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toolwise.reports.findings import Finding, Severity
from toolwise.reports.run_folder import Record, numbers

TREND_STEPS = 20
"""Below so many steps a trend says little."""

SOLVED = 0.9
"""Accuracy, or else mean reward, from which a run counts as done rather than stuck."""

ALWAYS_FINITE = ("loss", "grad_norm", "reward_mean", "entropy", "kl", "approx_kl")


@dataclass(frozen=True, slots=True)
class Row:
    """The numeric metrics of one step; a run folder writes null for a number that is not finite."""

    values: dict[str, float]

    @classmethod
    def of(cls, record: Record) -> Row:
        """The numbers of a record; null stands for NaN where a number must be."""
        lost = {key: math.nan for key in ALWAYS_FINITE if key in record and record[key] is None}
        return cls(numbers(record) | lost)

    @property
    def step(self) -> str:
        """The step as it is shown."""
        return f"{self.values['step']:g}"


Check = Callable[[Sequence[Row]], Finding | None]


def tail(rows: Sequence[Row]) -> Sequence[Row]:
    """The last quarter of the steps, at least five."""
    return rows[-max(5, len(rows) // 4) :]


def _series(rows: Sequence[Row], key: str) -> list[float]:
    return [row.values[key] for row in rows if math.isfinite(row.values.get(key, math.nan))]


def _span(rows: Sequence[Row]) -> str:
    return f"step {rows[0].step}" if len(rows) == 1 else f"steps {rows[0].step}–{rows[-1].step}"


def _solved(rows: Sequence[Row]) -> bool:
    """Whether the policy is right nearly always; then much of what alarms is merely success."""
    right = _series(tail(rows), "accuracy") or _series(tail(rows), "reward_mean")
    return bool(right) and statistics.fmean(right) >= SOLVED


def _share_check(key: str, title: str, warn: float, serious: float, mend: str) -> Check:
    def check(rows: Sequence[Row]) -> Finding | None:
        last = tail(rows)
        values = _series(last, key)
        if not values or (mean := statistics.fmean(values)) < warn:
            return None
        worst = max((row for row in last if key in row.values), key=lambda row: row.values[key])
        evidence = (
            f"{key} is {mean:.0%} on average over {_span(last)}"
            f" (worst {worst.values[key]:.0%} at step {worst.step})."
        )
        return Finding(Severity.SERIOUS if mean >= serious else Severity.WARNING, title, evidence, mend)

    return check


clipped = _share_check(
    "clipped_share",
    "Many rollouts are cut short",
    0.25,
    0.5,
    "Raise max_tokens or max_turns, or shorten what tools return: being cut teaches to be short, not right.",
)
parse_errors = _share_check(
    "parse_error_share",
    "Many turns cannot be read",
    0.2,
    0.5,
    "Check that the dialect is the one the model was tuned on, run SFT first, or add a format reward.",
)
off_policy = _share_check(
    "clip_share",
    "Most of the update is clipped away",
    0.3,
    0.6,
    "Fewer epochs or mini-batches per step, a lower learning rate, or a wider clip range.",
)
_masked = _share_check(
    "masked_share",
    "Hardly any token pulls on the policy",
    0.98,
    0.9999,
    "Look at `toolwise show mask` and at the zero-variance share: tokens count if the policy wrote them and "
    "their advantage is not 0.",
)


def masked(rows: Sequence[Row]) -> Finding | None:
    """Tokens without a pull; when the questions are solved there is none to expect."""
    return None if _solved(rows) else _masked(rows)


def zero_variance(rows: Sequence[Row]) -> Finding | None:
    """Groups in which all rewards are equal give no gradient."""
    values = _series(tail(rows), "zero_variance_share")
    if not values or (mean := statistics.fmean(values)) < 0.5:
        return None
    evidence = f"zero_variance_share is {mean:.0%} on average over {_span(tail(rows))}."
    if _solved(rows):
        return Finding(
            Severity.NOTE,
            "Most groups agree because the questions are solved",
            evidence,
            "There is little left to learn here: stop, or bring harder questions.",
        )
    return Finding(
        Severity.SERIOUS if mean >= 0.8 else Severity.WARNING,
        "Most groups have equal rewards, so nothing is learned from them",
        evidence,
        "Bring questions of middling difficulty, larger groups, a higher temperature, or a finer reward.",
    )


def call_rate(rows: Sequence[Row]) -> Finding | None:
    """A tool-call rate of nought: the policy has lost, or never had, its tools."""
    calls = _series(rows, "calls_per_rollout")
    if len(calls) < 5 or any(_series(tail(rows), "calls_per_rollout")):
        return None
    beyond = _series(tail(rows), "accuracy_beyond")
    if _solved(rows) and (not beyond or statistics.fmean(beyond) >= SOLVED):
        return None
    first = (
        "never called one" if not any(calls) else f"called {calls[0]:.2g} a rollout at step {rows[0].step}"
    )
    return Finding(
        Severity.SERIOUS,
        "No tool is called",
        f"calls_per_rollout is 0 over {_span(tail(rows))}; it {first}.",
        "Check that the prompt renders the tools; cold-start with SFT demonstrations that call; with a tool "
        "coefficient, raise the group size so that a right answer with a call is seen.",
    )


def flat(rows: Sequence[Row]) -> Finding | None:
    """Neither reward nor loss moved between the first and the last quarter."""
    key = next((key for key in ("reward_mean", "loss") if len(_series(rows, key)) >= TREND_STEPS), None)
    if key is None or _solved(rows):
        return None
    values = _series(rows, key)
    quarter = len(values) // 4
    first, last = values[:quarter], values[-quarter:]
    gain = statistics.fmean(last) - statistics.fmean(first)
    noise = math.sqrt((statistics.variance(first) + statistics.variance(last)) / quarter)
    better = gain if key == "reward_mean" else -gain
    if better > max(2 * noise, 0.01 * abs(statistics.fmean(first))):
        return None
    worse = noise > 0 and better < -2 * noise
    return Finding(
        Severity.SERIOUS if worse else Severity.WARNING,
        f"The {'reward' if key == 'reward_mean' else 'loss'} is {'getting worse' if worse else 'flat'}",
        f"{key} went from {statistics.fmean(first):.3g} (first quarter) to {statistics.fmean(last):.3g} "
        f"(last quarter); the noise of that difference is ±{noise:.2g}.",
        "Look at the other findings first; otherwise change the learning rate by a factor of 3 either way.",
    )


def entropy(rows: Sequence[Row]) -> Finding | None:
    """The policy stopped exploring before it was right."""
    values = _series(rows, "entropy")
    if len(values) < 5 or _solved(rows):
        return None
    start, now = statistics.fmean(values[:5]), statistics.fmean(_series(tail(rows), "entropy") or values[-5:])
    if start <= 0 or now > 0.1 * start:
        return None
    return Finding(
        Severity.WARNING,
        "Entropy has collapsed",
        f"entropy fell from {start:.3g} to {now:.3g} nats per token ({_span(tail(rows))}) "
        "and the questions are not solved.",
        "Lower the learning rate, raise the upper clip range, add a KL term, or sample at temperature 1.",
    )


def divergence(rows: Sequence[Row]) -> Finding | None:
    """The policy ran away from its reference."""
    values = _series(tail(rows), "kl")
    if not values or (mean := statistics.fmean(values)) < 1:
        return None
    begun = next(row for row in rows if row.values.get("kl", 0) >= 1)
    return Finding(
        Severity.SERIOUS if mean >= 10 else Severity.WARNING,
        "The policy runs away from the reference",
        f"kl is {mean:.3g} nats per token over {_span(tail(rows))}, above 1 since step {begun.step}.",
        "Lower the learning rate or raise the KL coefficient; check that sampled and trained logprobs agree.",
    )


def mismatch(rows: Sequence[Row]) -> Finding | None:
    """Training sees other log-probabilities than sampling did, or takes very large steps."""
    values = _series(tail(rows), "approx_kl")
    if not values or (mean := statistics.fmean(values)) < 0.1:
        return None
    return Finding(
        Severity.SERIOUS if mean >= 1 else Severity.WARNING,
        "The policy is far from the one that sampled",
        f"approx_kl is {mean:.3g} nats per token over {_span(tail(rows))}.",
        "If it is so from the first step, sampling and training disagree (temperature, precision, template); "
        "if it grows, lower the learning rate.",
    )


def not_finite(rows: Sequence[Row]) -> Finding | None:
    """A NaN or an infinity in any metric: the weights are most likely lost from there on."""
    hits = [(row, key) for row in rows for key, value in row.values.items() if not math.isfinite(value)]
    if not hits:
        return None
    row, key = hits[0]
    keys = ", ".join(sorted({key for _, key in hits}))
    steps = len({id(row) for row, _ in hits})
    return Finding(
        Severity.SERIOUS,
        "Numbers are not finite",
        f"{key} is {row.values[key]:g} at step {row.step}; {steps} steps in all, in {keys}.",
        "Go back to the checkpoint before that step; lower the learning rate, train in float32.",
    )


def gradient(rows: Sequence[Row]) -> Finding | None:
    """Gradient norms that jump, or are nought all along."""
    values = _series(rows, "grad_norm")
    if len(values) < 5:
        return None
    if not any(_series(tail(rows), "grad_norm")):
        return Finding(
            Severity.SERIOUS,
            "There is no gradient",
            f"grad_norm is 0 over {_span(tail(rows))}.",
            "No token is trained or all advantages are 0: see `toolwise show mask`.",
        )
    middle, worst = statistics.median(values), max(values)
    if middle > 0 and worst > 100 * middle:
        row = next(row for row in rows if row.values.get("grad_norm") == worst)
        return Finding(
            Severity.WARNING,
            "The gradient norm jumps",
            f"grad_norm is {worst:.3g} at step {row.step}, {worst / middle:.0f} times its median.",
            "Clip gradients at 1 and look at the rollouts of that step.",
        )
    return None


def learning_rate(rows: Sequence[Row]) -> Finding | None:
    """A learning rate of nought at every step but, perhaps, the first of a warm-up."""
    values = _series(rows, "learning_rate")
    if len(values) < 2 or any(values):
        return None
    return Finding(
        Severity.SERIOUS,
        "The learning rate is 0",
        f"learning_rate is 0 at all of {_span(rows)}.",
        "Set learning_rate, and give the schedule fewer warm-up steps than the run has.",
    )


def skipped(rows: Sequence[Row]) -> Finding | None:
    """Questions that never reached the policy, since their prompt did not fit."""
    total = sum(_series(rows, "skipped_too_long"))
    if total == 0:
        return None
    steps = [row for row in rows if row.values.get("skipped_too_long", 0) > 0]
    return Finding(
        Severity.SERIOUS if len(steps) > len(rows) / 2 else Severity.WARNING,
        "Prompts are too long and were skipped",
        f"{total:.0f} prompts at {len(steps)} of {len(rows)} steps, the first at step {steps[0].step}.",
        "Raise the context length, shorten the system prompt or tool descriptions, or drop these tasks.",
    )


def critic(rows: Sequence[Row]) -> Finding | None:
    """Values that foretell returns no better than their mean does."""
    values = _series(tail(rows), "explained_variance")
    if len(rows) < TREND_STEPS or not values or (mean := statistics.fmean(values)) > 0:
        return None
    return Finding(
        Severity.WARNING,
        "The critic explains nothing",
        f"explained_variance is {mean:.2g} on average over {_span(tail(rows))}; a constant reaches 0.",
        "Raise critic.learner.learning_rate, or let the critic learn alone first (critic.warmup_steps): such "
        "values are no baseline.",
    )


def preferences(rows: Sequence[Row]) -> Finding | None:
    """DPO that cannot tell the answers apart, or that unlearns the chosen ones together with the others."""
    right, chosen = (_series(tail(rows), key) for key in ("preference_accuracy", "reward_chosen"))
    if len(rows) < TREND_STEPS or not right or not chosen:
        return None
    if (mean := statistics.fmean(right)) < 0.55:
        return Finding(
            Severity.WARNING,
            "The chosen answers are not preferred",
            f"preference_accuracy is {mean:.0%} on average over {_span(tail(rows))}; a guess reaches 50%.",
            "Check that chosen and rejected are not mixed up; raise the learning rate, or take more steps.",
        )
    if (fallen := statistics.fmean(chosen)) > -1:
        return None
    return Finding(
        Severity.WARNING,
        "The chosen answers are unlearned, too",
        f"reward_chosen is {fallen:.3g} on average over {_span(tail(rows))}: they have become less likely "
        "than under the reference.",
        "A larger loss.beta, a lower learning rate or fewer steps; pairs that differ in what matters only.",
    )


SYMPTOMS: tuple[Check, ...] = (
    not_finite,
    learning_rate,
    gradient,
    masked,
    skipped,
    mismatch,
    off_policy,
    clipped,
    parse_errors,
    zero_variance,
    call_rate,
    flat,
    entropy,
    divergence,
    critic,
    preferences,
)
"""All checks on metrics, causes before effects."""
