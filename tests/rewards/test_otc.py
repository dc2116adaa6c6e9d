import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolwise.core import Rollout, StopReason, Task, ToolCall, Turn
from toolwise.rewards import (
    ExactMatchReward,
    MashReward,
    OTCReward,
    cosine_coefficient,
    count_calls,
    otc_metrics,
    search_penalty,
    tool_coefficient,
)

QUESTION = Task("q1", ({"role": "user", "content": "?"},), answer="yes")


def rollout(calls, right, task=QUESTION, cut=False):
    last = (
        Turn("assistant", (), calls=(ToolCall("f"),))
        if cut
        else Turn("assistant", (), answer="yes" if right else "no")
    )
    turns = (
        Turn("prompt", ()),
        Turn("assistant", (), calls=(ToolCall("f"),) * calls),
        Turn("tool", ()),
        last,
    )
    return Rollout(
        task, turns, (0, 1, 2, 3), 0, task.id, StopReason.MAX_TURNS if cut else StopReason.ANSWERED
    )


def group(*pairs, task=QUESTION):
    return [rollout(calls, right, task) for calls, right in pairs]


def totals(rewards):
    return [reward.total for reward in rewards]


TABLE = {  # c = 4, m = 0 … 4, as printed in the paper's definition
    0: (1, 0.8660, 0.7071, 0.5878, 0.5000),
    1: (0, 1, 0.8660, 0.7071, 0.5878),
    2: (0, 0.8660, 1, 0.9511, 0.8660),
    3: (0, 0.7071, 0.9511, 1, 0.9749),
    4: (0, 0.5878, 0.8660, 0.9749, 1),
}


@pytest.mark.parametrize("minimum", TABLE)
def test_the_published_table(minimum):
    found = [tool_coefficient(calls, minimum, 4) for calls in range(5)]
    assert found == pytest.approx(TABLE[minimum], abs=5e-5)
    if minimum == 0:
        assert found == [cosine_coefficient(calls, 4) for calls in range(5)]


@given(st.integers(0, 50), st.integers(1, 50), st.floats(0.5, 20))
def test_coefficient_properties(calls, minimum, smoothing):
    value = tool_coefficient(calls, minimum, smoothing)
    assert value == pytest.approx(math.sin(math.pi * calls / (calls + minimum)))
    assert -1e-12 <= value <= 1 == tool_coefficient(minimum, minimum, smoothing)
    if calls:
        assert value == pytest.approx(tool_coefficient(minimum, calls, smoothing))


def test_the_smaller_c_the_dearer_a_call():
    assert cosine_coefficient(1, 2) == pytest.approx(0.7071, abs=5e-5)
    assert cosine_coefficient(1, 4) == pytest.approx(0.8660, abs=5e-5)


def test_minimum_is_taken_in_before_scoring_and_carried_on():
    reward = OTCReward(ExactMatchReward())
    first = reward(QUESTION, group((3, True), (2, True), (0, False)))
    assert totals(first) == pytest.approx([0.9511, 1, 0], abs=5e-5)
    assert reward.state_dict() == {"minima": {"q1": 2}}
    second = reward(QUESTION, group((1, True), (2, True)))
    assert totals(second) == pytest.approx([1, 0.8660], abs=5e-5)
    third = reward(QUESTION, group((2, True), (4, True)))  # n stays 1, though nobody made it with 1 now
    assert totals(third) == pytest.approx([0.8660, 0.5878], abs=5e-5)
    assert third[0].parts == {"correct": 1, "tool": pytest.approx(0.8660, abs=5e-5), "calls": 2, "format": 1}


def test_minima_are_per_task_and_survive_a_round_trip_through_json():
    other = Task("q2", QUESTION.prompt, answer="yes")
    reward = OTCReward(ExactMatchReward())
    reward(QUESTION, group((1, True)))
    reward(other, group((3, True), task=other))
    fresh = OTCReward(ExactMatchReward())
    fresh.load_state_dict(json.loads(json.dumps(reward.state_dict())))
    again = group((3, True), task=other)
    assert totals(fresh(other, again)) == totals(reward(other, again)) == [1]
    assert totals(fresh(QUESTION, group((2, True)))) == pytest.approx([0.8660], abs=5e-5)


@pytest.mark.parametrize(("unknown", "expected"), [("one", 0.2), ("cosine", 0.2 * 0.8660), ("zero", 0)])
def test_a_group_without_a_correct_answer(unknown, expected):
    plain = OTCReward(ExactMatchReward(), unknown=unknown)
    assert totals(plain(QUESTION, group((0, False), (3, False)))) == [0, 0]
    assert plain.state_dict() == {"minima": {}}
    formatted = OTCReward(ExactMatchReward(), unknown=unknown, format_weight=0.2)
    assert totals(formatted(QUESTION, group((1, False)))) == pytest.approx([expected], abs=5e-5)


def test_without_calls_where_calls_are_needed_even_format_is_worth_nothing():
    reward = OTCReward(ExactMatchReward(), format_weight=0.2)
    assert totals(reward(QUESTION, group((0, False), (2, True)))) == [0, pytest.approx(1.2)]


def test_zero_minimum_is_sticky():
    reward = OTCReward(ExactMatchReward())
    reward(QUESTION, group((0, True)))
    assert totals(reward(QUESTION, group((1, True), (0, True)))) == pytest.approx([0.8660, 1], abs=5e-5)


def test_settings():
    late = OTCReward(ExactMatchReward(), update_first=False)
    assert totals(late(QUESTION, group((2, True), (4, True)))) == [1, 1]  # no n yet
    assert totals(late(QUESTION, group((2, True), (4, True)))) == pytest.approx([1, 0.8660], abs=5e-5)
    local = OTCReward(ExactMatchReward(), minimum="group")
    local(QUESTION, group((1, True)))
    assert totals(local(QUESTION, group((2, True)))) == [1]
    cosine = OTCReward(ExactMatchReward(), form="ppo", alpha=2.0)
    assert totals(cosine(QUESTION, group((1, True), (4, True)))) == pytest.approx([1.7321, 1], abs=1e-4)
    assert cosine.state_dict() == {"minima": {}}


def test_calls_that_no_tool_answered():
    assert count_calls(rollout(2, True, cut=True), include_unrun=True) == 3
    assert count_calls(rollout(2, True, cut=True), include_unrun=False) == 2
    assert count_calls(rollout(2, True), include_unrun=False) == 2


def test_metrics():
    assert otc_metrics([1, 1, 0, 0], [1, 3, 0, 4]) == {"EM": 0.5, "TC": 2.0, "TP": 0.25}
    assert otc_metrics([1, 0], [0, 0])["TP"] is None


@pytest.mark.parametrize(
    ("penalty", "searches", "minimum", "expected"),
    [
        ("exp", 3, 1, 0.25),
        ("otc", 0, 0, 1),
        ("otc", 1, 0, math.cos(math.pi / 7)),
        ("otc_strict", 1, 0, 0),
        ("otc_strict", 2, 1, math.sin(math.pi * 2 / 3)),
        ("linear", 5, 1, 1 / 6),
        ("linear", 9, 1, 0),
    ],
)
def test_mash_penalties(penalty, searches, minimum, expected):
    assert search_penalty(searches, minimum, penalty=penalty, decay=0.5) == pytest.approx(expected)


def test_mash_remembers_the_minimum():
    reward = MashReward(ExactMatchReward(), decay=0.5)
    assert totals(reward(QUESTION, group((1, True), (2, True), (0, False)))) == [1, 0.5, 0]
    fresh = MashReward(ExactMatchReward(), decay=0.5)
    fresh.load_state_dict(reward.state_dict())
    assert totals(fresh(QUESTION, group((3, True)))) == [0.25]
