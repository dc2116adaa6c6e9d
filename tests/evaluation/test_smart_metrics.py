"""SMART's metrics: exact values, the paper's two headline figures, and the public records."""

from __future__ import annotations

import json

import pytest

from toolwise.core import ToolwiseError
from toolwise.evaluation import Outcome, joined_overuse
from toolwise.evaluation.smart_metrics import (
    Intention,
    Share,
    accuracy,
    intention_coverage,
    macro_decrease,
    macro_increase,
    missing_details_recovery,
    same_math,
    tools_used,
    underuse,
)

# Table 3: calls math, accuracy math, calls time, accuracy time, calls intention, L3, L2, coverage.
SMART = {
    "Mistral-7B": (0.60, 22.75, 1.00, 64, 3.60, 74.42, 65.44, 81.76),
    "Llama-3.1-8B": (0.88, 54.75, 1.05, 67, 3.80, 81.40, 67.41, 78.28),
    "Nemo": (0.82, 49.50, 1.00, 70, 3.34, 77.91, 62.15, 82.30),
    "Small-24B": (0.79, 69.75, 1.00, 66, 3.89, 74.42, 68.87, 84.99),
    "Llama-70B": (0.94, 72.50, 1.01, 66, 3.51, 68.60, 58.15, 86.09),
}
TOOL_PROMPT = {
    "Mistral-7B": (3.90, 13.25, 1.67, 49, 3.80, 48.84, 21.70, 63.04),
    "Llama-3.1-8B": (1.93, 51, 2.05, 56, 3.77, 54.76, 25.90, 70.20),
    "Nemo": (2.35, 46, 1.19, 59, 1.80, 31.35, 5.82, 59.27),
    "Small-24B": (1.55, 76, 1.73, 62, 2.52, 45.74, 33.62, 78.20),
    "Llama-70B": (3.53, 67.50, 2.08, 63, 2.71, 45.74, 35.96, 61.68),
}
# Accuracy math, accuracy time, L3, L2 of the baselines without tools.
REASONING = {
    "Mistral-7B": [(17.25, 29, 37.21, 33.06), (17, 48, 41.86, 43.84)],
    "Llama-3.1-8B": [(53, 26, 40.70, 25.76), (41, 48, 38.37, 42.49)],
    "Nemo": [(47, 33, 44.19, 28.37)],
    "Small-24B": [(72.25, 34, 41.86, 31.82)],
    "Llama-70B": [(70, 36, 41.86, 29.24)],
}
MEASURES = {"math": 1, "time": 3, "L3": 5, "L2": 6, "coverage": 7}


def cells(rows, places):
    return {
        f"{model} {name}": float(row[place]) for model, row in rows.items() for name, place in places.items()
    }


def test_the_papers_saving_of_tool_calls_is_24_percent():
    places = {"math": 0, "time": 2, "intention": 4}
    assert round(100 * macro_decrease(cells(TOOL_PROMPT, places), cells(SMART, places)), 2) == 24.00


def test_the_papers_gain_in_performance_is_37_percent_against_the_best_baseline_of_each_cell():
    best = cells(TOOL_PROMPT, MEASURES)
    for model, rows in REASONING.items():
        for row in rows:
            for name, value in zip(("math", "time", "L3", "L2"), row, strict=True):
                best[f"{model} {name}"] = max(best[f"{model} {name}"], float(value))
    assert round(100 * macro_increase(best, cells(SMART, MEASURES)), 1) == 37.1


def test_cells_must_agree_and_be_above_0():
    with pytest.raises(ToolwiseError, match="cells differ"):
        macro_increase({"a": 1.0}, {"b": 1.0})
    with pytest.raises(ToolwiseError, match="cells differ"):
        macro_increase({}, {})
    with pytest.raises(ToolwiseError, match="'a' is 0 before"):
        macro_decrease({"a": 0.0}, {"a": 1.0})


def test_accuracy_drops_failed_judgements_as_published_or_counts_them():
    verdicts = [True, True, False, None]
    assert accuracy(verdicts, "published") == Share(2 / 3, 3, 1)
    assert accuracy(verdicts) == Share(0.5, 4)
    assert accuracy([None], "published") == Share(None, 0, 1)
    assert same_math("X = 2\n", "x = 2")
    assert not same_math("0.5", "1/2")


RUNS = [
    Intention(((3, True), (2, True), (2, False)), (True, False)),
    Intention(((3, False),), ()),  # asked nothing
    Intention(((2, True), (1, None)), (True,)),  # one judgement failed
    Intention(((3, True),), (True, True), finished=False),
    Intention((), ()),  # nothing was missing
]


def test_recovery_is_a_mean_over_tasks_that_have_such_a_detail():
    assert missing_details_recovery(RUNS, 3) == Share(2 / 3, 3)
    assert missing_details_recovery(RUNS, 2) == Share(0.75, 2)
    assert missing_details_recovery(RUNS, 2, "published") == Share(0.5, 1, 1)
    assert missing_details_recovery(RUNS, 1) == Share(0.0, 1)
    assert missing_details_recovery(RUNS, 1, "published") == Share(None, 0, 1)


def test_coverage_counts_runs_that_asked_nothing_only_when_mended():
    # Of the runs that asked: a half, and 0 because it is not finished; the third is dropped as published.
    assert intention_coverage(RUNS, "published") == Share(0.25, 2, 1)
    assert intention_coverage(RUNS) == Share((0.5 + 0 + 1 + 0) / 4, 4)


def outcome(name, needs_tool, correct, calls):
    return Outcome(name, "", "", "", needs_tool, correct, calls)


def test_overuse_underuse_and_tools_used():
    alone = [outcome(str(n), None, n < 3, 0) for n in range(4)]
    armed = [
        outcome("0", False, True, 2),
        outcome("1", False, True, 0),
        outcome("2", False, True, 1),
        outcome("3", True, False, 0),
    ]
    joined = joined_overuse(alone, armed)
    assert (joined.alpha, joined.beta, joined.rate) == (0.75, 2 / 3, 0.5)
    assert joined.rate == joined.alpha * joined.beta
    assert underuse(armed) == Share(0.25, 4)
    assert underuse(alone) == Share(None, 0)
    assert tools_used(armed) == 0.75
    with pytest.raises(ToolwiseError, match="nothing to measure"):
        tools_used([])


@pytest.mark.data
def test_the_public_references_recover_what_they_ask_for(shared_dir):
    path = shared_dir / "data" / "smart" / "domain_intention_smart.json"
    if not path.is_file():
        pytest.skip("the public data set smart is not beside the checkout")
    records = json.loads(path.read_text(encoding="utf-8"))
    levels = {3: 0, 2: 0, 1: 0}
    runs = []
    for record in records:
        details = tuple((int(detail["importance"]), True) for detail in record["missing_details"])
        runs.append(Intention(details, (True,) * record["output"].count("(tool: AskUser)")))
        for level in levels:
            levels[level] += any(importance == level for importance, _ in details)
    for level, tasks in levels.items():
        assert missing_details_recovery(runs, level) == Share(1.0, tasks)
        assert missing_details_recovery([Intention(run.details, ()) for run in runs], level) == Share(
            0.0, tasks
        )
    assert intention_coverage(runs, "published").value == 1.0


@pytest.mark.data
def test_the_public_dialogues_give_their_own_recovery_and_coverage(shared_dir):
    folder = shared_dir / "data" / "in3_interact" / "user_interaction_records"
    if not folder.is_dir():
        pytest.skip("the public data set in3_interact is not beside the checkout")
    shares = {}
    for path in sorted(folder.glob("*.jsonl")):
        runs = []
        for line in path.read_text(encoding="utf-8").splitlines():
            user = json.loads(line)["user_record"]
            # As many details as the user was asked for and gave; which ones, the records do not say.
            given, kept = user["total_user_details"] or 0, user["user_details_in_summary"] or 0
            runs.append(Intention(((1, True),), (True,) * kept + (False,) * (given - kept)))
        published, mended = intention_coverage(runs, "published"), intention_coverage(runs)
        assert mended.counted == len(runs)
        assert published.counted == sum(bool(run.respected) for run in runs)
        assert mended.value <= published.value
        shares[path.stem] = published.value
    assert len(shares) == 3
    assert shares["user_interaction_record_gpt4"] > 0.9
