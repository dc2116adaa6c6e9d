"""The run doctor on runs made ill on purpose, one illness at a time."""

import io
import random

import pytest
from rich.console import Console
from synthetic_run import rollout, write_jsonl

from toolwise.reports import Severity, diagnose, findings_panel


def healthy(steps=40):
    draw = random.Random(0)
    for step in range(1, steps + 1):
        yield {
            "step": step,
            "phase": "rl",
            "reward_mean": 0.3 + 0.4 * step / steps + draw.gauss(0, 0.02),
            "accuracy": 0.3 + 0.4 * step / steps,
            "calls_per_rollout": 0.6,
            "zero_variance_share": 0.3,
            "clipped_share": 0.02,
            "parse_error_share": 0.03,
            "entropy": 0.5 - 0.2 * step / steps,
            "kl": 0.02,
            "grad_norm": 0.8,
            "learning_rate": 1e-4,
            "loss": draw.gauss(0, 0.1),
            "masked_share": 0.6,
        }


def findings(folder, change=None, rollouts=(), steps=40):
    rows = [row | (change(row["step"] / steps) if change else {}) for row in healthy(steps)]
    write_jsonl(folder / "metrics.jsonl", rows)
    if rollouts:
        write_jsonl(folder / "rollouts" / "a.jsonl", rollouts)
    return diagnose(folder)


def test_preferences_that_are_learned_are_no_illness(tmp_path):
    (finding,) = findings(
        tmp_path, lambda t: {"preference_accuracy": 0.5 + 0.4 * t, "reward_chosen": -0.5 * t}
    )
    assert finding.severity is Severity.HEALTHY


def test_a_healthy_run_says_so(tmp_path):
    (finding,) = findings(tmp_path, rollouts=[ill_rollout(number) for number in range(6)])
    assert finding.severity is Severity.HEALTHY
    assert finding.stage == tmp_path.name
    assert "40 steps" in finding.evidence


ILLNESSES = [
    (
        lambda t: {"clipped_share": 0.6},
        "Many rollouts are cut short",
        Severity.SERIOUS,
        "60% on average over steps 31–40",
    ),
    (lambda t: {"explained_variance": 0.2 - t}, "The critic explains nothing", Severity.WARNING, "-0.6"),
    (lambda t: {"clipped_share": 0.3}, "Many rollouts are cut short", Severity.WARNING, "30%"),
    (lambda t: {"zero_variance_share": 0.9}, "equal rewards", Severity.SERIOUS, "90%"),
    (
        lambda t: {"parse_error_share": 0.2 + 0.4 * t},
        "cannot be read",
        Severity.SERIOUS,
        "worst 60% at step 40",
    ),
    (
        lambda t: {"calls_per_rollout": max(0, 0.5 - t)},
        "No tool is called",
        Severity.SERIOUS,
        "0.47 a rollout at step 1",
    ),
    (lambda t: {"masked_share": 1.0}, "Hardly any token pulls", Severity.SERIOUS, "100%"),
    (
        lambda t: {"reward_mean": 0.4},
        "The reward is flat",
        Severity.WARNING,
        "from 0.4 (first quarter) to 0.4",
    ),
    (
        lambda t: {"reward_mean": 0.8 - 0.5 * t, "accuracy": 0.5},
        "getting worse",
        Severity.SERIOUS,
        "reward_mean went",
    ),
    (lambda t: {"entropy": 0.5 * 0.01**t}, "Entropy has collapsed", Severity.WARNING, "nats per token"),
    (lambda t: {"kl": 0.02 if t < 0.5 else 30}, "runs away", Severity.SERIOUS, "above 1 since step 20"),
    (
        lambda t: {"grad_norm": float("nan") if t == 0.5 else 1.0},
        "not finite",
        Severity.SERIOUS,
        "grad_norm is nan at step 20; 1 steps",
    ),
    (
        lambda t: {"grad_norm": 500 if t == 0.5 else 1.0},
        "gradient norm jumps",
        Severity.WARNING,
        "500 at step 20, 500 times",
    ),
    (
        lambda t: {"loss": None if t > 0.9 else 1.0},
        "not finite",
        Severity.SERIOUS,
        "loss is nan at step 37; 4 steps",
    ),
    (lambda t: {"clip_share": 0.4}, "clipped away", Severity.WARNING, "clip_share is 40%"),
    (lambda t: {"approx_kl": 2 * t}, "the one that sampled", Severity.SERIOUS, "approx_kl is 1.77"),
    (lambda t: {"grad_norm": 0.0}, "no gradient", Severity.SERIOUS, "grad_norm is 0"),
    (lambda t: {"learning_rate": 0}, "learning rate is 0", Severity.SERIOUS, "steps 1–40"),
    (
        lambda t: {"preference_accuracy": 0.5, "reward_chosen": 0.0},
        "not preferred",
        Severity.WARNING,
        "50% on average over steps 31–40",
    ),
    (
        lambda t: {"preference_accuracy": 0.9, "reward_chosen": -4 * t},
        "unlearned",
        Severity.WARNING,
        "reward_chosen is -3.55",
    ),
    (
        lambda t: {"skipped_too_long": 2 if t > 0.9 else 0},
        "too long",
        Severity.WARNING,
        "8 prompts at 4 of 40 steps, the first at step 37",
    ),
]


@pytest.mark.parametrize("change, title, severity, evidence", ILLNESSES)
def test_each_illness_is_found_alone_with_its_figures(tmp_path, change, title, severity, evidence):
    (finding,) = findings(tmp_path, change)
    assert title in finding.title
    assert finding.severity is severity
    assert evidence in finding.evidence
    assert finding.mend


def test_success_is_no_illness(tmp_path):
    found = findings(
        tmp_path,
        lambda t: {
            "accuracy": 0.99,
            "reward_mean": 0.99,
            "zero_variance_share": 0.95,
            "entropy": 0.5 * 0.001**t,
        },
    )
    assert {finding.severity for finding in found} == {Severity.NOTE, Severity.HEALTHY}
    assert "solved" in found[0].title


def test_a_supervised_loss_that_stays_is_flat(tmp_path):
    write_jsonl(tmp_path / "metrics.jsonl", [{"step": step, "loss": 2.0 + step % 2} for step in range(40)])
    assert [finding.title for finding in diagnose(tmp_path)] == ["The loss is flat"]


def test_a_short_run_is_not_judged(tmp_path):
    found = findings(tmp_path, steps=4)
    assert [finding.severity for finding in found] == [Severity.NOTE, Severity.HEALTHY]
    assert "4 steps so far" in found[0].evidence


def ill_rollout(number, **change):
    record = rollout("grpo", 1, 4, number)
    for turn in record["turns"]:
        if turn["role"] == "assistant":
            turn["advantages"] = [change.get("pull", 0.5)] * len(turn["tokens"])
    record["turns"].append(
        {"role": "tool", "results": [{"name": "s", "content": "", "error": change.get("error")}]}
    )
    return record | {"stop": change.get("stop", "answered")}


@pytest.mark.parametrize(
    "change, titles",
    [
        ({}, ["Looks healthy"]),
        ({"error": "tool_failure"}, ["Many tool calls fail"]),
        ({"error": "timeout"}, ["Many tool calls fail", "Tools run into their time limit"]),
        ({"stop": "max_turns"}, ["Calls go on without end"]),
        ({"stop": "context"}, ["Rollouts fill the context"]),
        ({"pull": 0.0}, ["Nothing is trained on"]),
    ],
)
def test_illnesses_that_only_rollouts_show(tmp_path, change, titles):
    found = findings(tmp_path, rollouts=[ill_rollout(number, **change) for number in range(8)])
    assert [finding.title for finding in found] == titles


def test_broken_lines_are_named_and_the_worst_comes_first(tmp_path):
    findings(tmp_path, lambda t: {"learning_rate": 0, "clipped_share": 0.3})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write("{")
    found = diagnose(tmp_path)
    assert [finding.severity for finding in found] == [Severity.SERIOUS, Severity.WARNING, Severity.NOTE]
    assert "metrics.jsonl (1)" in found[-1].evidence


def test_findings_are_printed_with_evidence_and_mend(tmp_path):
    (finding,) = found = findings(tmp_path, lambda t: {"learning_rate": 0})
    output = io.StringIO()
    Console(file=output, width=200).print(findings_panel(found))
    for text in (finding.title, finding.evidence, finding.mend, tmp_path.name):
        assert text in output.getvalue()
