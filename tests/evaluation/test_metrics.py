"""Measures with numbers worked out by hand, and intervals from the literature."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolwise.core import ToolwiseError
from toolwise.evaluation import MEASURES, Outcome, bootstrap_ratio, joined_overuse, summarise, wilson


def outcome(task_id, needs_tool, correct, calls, level="type", kind="fact", domain="time"):
    return Outcome(task_id, domain, kind, level, needs_tool, correct, calls)


HAND_MADE = [
    outcome("a", False, True, 0, "type"),
    outcome("b", False, True, 1, "entity"),
    outcome("c", False, False, 2, "entity"),
    outcome("d", False, True, 0, "type"),
    outcome("e", True, True, 1, "type"),
    outcome("f", True, False, 0, "entity"),
    outcome("g", None, True, 3, ""),
]


def test_hand_made_outcomes_give_the_worked_out_figures():
    summary = summarise(HAND_MADE)
    assert summary.questions == 7
    assert summary.accuracy == 5 / 7
    assert summary.accuracy_within == 3 / 4
    assert summary.accuracy_beyond == 1 / 2
    assert summary.calls_within == 3 / 4
    assert summary.calls_beyond == 1 / 2
    assert summary.overuse == 2 / 4
    assert summary.underuse == 1 / 2
    assert summary.boundary_agreement == 3 / 6  # a, d, e agree; b, c, f do not; g is unknown
    assert summary.tool_productivity == 5 / 7  # five right answers, seven calls


def test_breakdowns_hold_their_own_questions_and_leave_out_the_unstated():
    summary = summarise(HAND_MADE)
    assert {name: part.questions for name, part in summary.by_level.items()} == {"entity": 3, "type": 3}
    assert summary.by_level["type"].boundary_agreement == 1.0
    assert summary.by_level["entity"].boundary_agreement == 0.0
    assert summary.by_kind["fact"].accuracy == summary.accuracy
    assert list(summary.by_domain) == ["time"]


def test_the_record_has_exactly_the_agreed_keys():
    record = summarise(HAND_MADE).to_record("otc", 3)
    assert set(record) == {
        "policy", "seed", "accuracy", "accuracy_within", "accuracy_beyond", "calls_within", "calls_beyond",
        "overuse", "underuse", "boundary_agreement", "tool_productivity",
        "questions", "intervals", "crossing", "by_level", "by_kind",
    }  # fmt: skip
    assert (record["policy"], record["seed"]) == ("otc", 3)
    assert set(record["intervals"]) == set(MEASURES)
    assert record["intervals"]["overuse"] == list(wilson(2, 4))


def test_an_empty_split_is_none_and_the_record_valid_json():
    record = summarise([outcome("a", None, True, 0), outcome("b", None, False, 0)]).to_record("p", 0)
    assert record["accuracy"] == 0.5
    for name in MEASURES[1:]:
        assert record[name] is None
        assert record["intervals"][name] is None
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_one_question_has_no_bootstrap_interval():
    summary = summarise([outcome("a", True, True, 1)])
    assert summary.tool_productivity == 1.0
    assert summary.intervals["tool_productivity"] is None


def test_nothing_to_summarise_is_refused():
    with pytest.raises(ToolwiseError, match="nothing to summarise"):
        summarise([])


@pytest.mark.parametrize(
    "hits, total, low, high",
    [
        # Newcombe, Statistics in Medicine 17 (1998), Table I, method 3 (score, without correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_the_literature(hits, total, low, high):
    assert wilson(hits, total) == pytest.approx((low, high), abs=5e-5)


def test_bootstrap_is_seeded_and_near_the_normal_interval():
    calls = [0, 1, 2, 1, 0, 3, 1, 1, 0, 2] * 20
    first = bootstrap_ratio(calls, [1] * 200, "calls")
    assert first == bootstrap_ratio(calls, [1] * 200, "calls")
    mean = sum(calls) / 200
    half = 1.96 * math.sqrt(sum((call - mean) ** 2 for call in calls) / 200 / 200)
    assert first == pytest.approx((mean - half, mean + half), abs=0.02)


def test_bootstrap_keeps_pairs_together():
    # Twice as much above as below on every question: any resample has the ratio 2 exactly.
    assert bootstrap_ratio([2, 4, 6, 8], [1, 2, 3, 4], "pairs") == (2.0, 2.0)


def test_a_bound_that_is_not_finite_gives_no_interval():
    assert bootstrap_ratio([1, 1, 1], [0, 0, 1], "rare") is None


@given(
    st.lists(
        st.tuples(st.sampled_from([True, False, None]), st.booleans(), st.integers(0, 4)),
        min_size=1,
        max_size=12,
    )
)
def test_shares_hang_together(rows):
    outcomes = [outcome(str(i), *row) for i, row in enumerate(rows)]
    summary = summarise(outcomes)
    within = sum(row[0] is False for row in rows)
    beyond = sum(row[0] is True for row in rows)
    wrong = (summary.overuse or 0) * within + (summary.underuse or 0) * beyond
    if within + beyond:
        assert summary.boundary_agreement == pytest.approx(1 - wrong / (within + beyond))
    for name in ("accuracy", "overuse", "underuse", "boundary_agreement"):
        value, bounds = getattr(summary, name), summary.intervals[name]
        assert (value is None) == (bounds is None)
        if bounds:
            assert 0 <= bounds[0] <= value + 1e-12
            assert value - 1e-12 <= bounds[1] <= 1


def test_joined_overuse_is_alpha_times_beta():
    without = [outcome(name, None, right, 0) for name, right in zip("abcde", [1, 1, 1, 0, 0], strict=True)]
    armed = [outcome(name, None, True, calls) for name, calls in zip("edcba", [1, 0, 0, 2, 1], strict=True)]
    found = joined_overuse(without, armed)
    assert (found.alpha, found.beta, found.rate) == (3 / 5, 2 / 3, 2 / 5)
    assert found.rate == pytest.approx(found.alpha * found.beta)
    assert found.interval == wilson(2, 5)


def test_joined_overuse_without_a_solved_question_has_no_beta():
    found = joined_overuse([outcome("a", None, False, 0)], [outcome("a", None, True, 1)])
    assert (found.alpha, found.beta, found.rate) == (0.0, None, 0.0)


def test_joined_overuse_refuses_runs_that_do_not_match():
    one, other = outcome("a", None, True, 0), outcome("b", None, True, 0)
    with pytest.raises(ToolwiseError, match="one run only"):
        joined_overuse([one], [other])
    with pytest.raises(ToolwiseError, match="stands twice"):
        joined_overuse([one, one], [one])
