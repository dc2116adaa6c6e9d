import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolwise.core import Rollout, StopReason, Task, ToolwiseError, Turn
from toolwise.rewards import (
    ToolRLReward,
    ToolRLSettings,
    best_assignment,
    reward_ranges,
    toolrl_score,
)

PARAMETERS = {"restaurant": "Blue Fig", "people": 4, "time": "19:30"}


def turn(*calls, response=None, thought="plan"):
    text = f"<think> {thought} </think>"
    if calls:
        text += "\n<tool_call>\n" + "\n".join(json.dumps(call) for call in calls) + "\n</tool_call>"
    if response is not None:
        text += f"\n<response> {response} </response>"
    return text


def call(name="book", **parameters):
    return {"name": name, "parameters": parameters}


REFERENCE = turn(call(**PARAMETERS))


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([call(**PARAMETERS)], 3),
        ([call("look", **PARAMETERS)], -3),
        ([call()], -1.8),
        ([call(restaurant="Blue Fig", people=4)], 1.4),
        ([call(**PARAMETERS | {"people": 5})], 1.8),
        ([call(**PARAMETERS, smoking=False)], 2.7),
        ([call(**PARAMETERS), call("look")], 2.4),
        ([call(**PARAMETERS | {"people": 4.0})], 3),  # 4 == 4.0 in parsed JSON
        ([call(**PARAMETERS | {"people": "4"})], 1.8),
        ([{"parameters": PARAMETERS}], -3),
        ([{"name": ["book"], "parameters": PARAMETERS}], -3),
        ([{"name": "book", "parameters": 7}], -3),
    ],
)
def test_worked_values_of_the_specification(predicted, expected):
    score = toolrl_score(turn(*predicted), REFERENCE)
    assert score.correctness == pytest.approx(expected)
    assert score.format == 1
    assert score.total == pytest.approx(1 + expected)


def test_calls_without_parameters():
    reference = turn(call())
    assert toolrl_score(turn(call(x=1)), reference).correctness == pytest.approx(0)
    assert toolrl_score(turn(call(), call()), reference).correctness == pytest.approx(1.5)


def test_one_bad_line_spoils_all_calls():
    good = json.dumps(call(**PARAMETERS))
    for bad in (f"{good}\n\n{good}", f"```\n{good}\n```", f"{good}\nnot json", "[1, 2]"):
        text = f"<think> t </think>\n<tool_call>\n{bad}\n</tool_call>"
        assert toolrl_score(text, REFERENCE).correctness == -3
    assert toolrl_score("<think> t </think>", REFERENCE) == toolrl_score("", REFERENCE)


def test_a_broken_reference_raises():
    with pytest.raises(json.JSONDecodeError):
        toolrl_score(REFERENCE, "<think> a </think>\n<tool_call>\n\n</tool_call>")


@pytest.mark.parametrize(
    ("text", "reference", "format_"),
    [
        (turn(response="hello"), turn(response="x"), 1),
        (turn(response="hello"), REFERENCE, 0),
        (turn(call(), response="hello"), turn(call(), response="x"), 1),
        (turn(call(), response="hello"), REFERENCE, 0),  # a block too many
        (turn(), turn(), 1),
        (turn(response="a").replace("\n", "\n\n"), turn(response="x"), 0),
        (turn(response="a").replace("\n", " "), turn(response="x"), 0),
        (turn(response="a", thought="use <response>"), turn(response="x"), 0),
        (turn(response="a", thought="one </think> two <think> three"), turn(response="x"), 1),
        ("  " + turn(response="a") + "\n ", turn(response="x"), 1),
        (turn(response="a") + "<|endoftext|>", turn(response="x"), 0),
    ],
)
def test_format(text, reference, format_):
    assert toolrl_score(text, reference).format == format_


def test_a_response_needs_no_correctness():
    assert toolrl_score(turn(call()), turn(response="x")).total == 0
    assert toolrl_score(turn(response="a"), turn(response="x")).total == 1


def test_greedy_matching_of_the_program_against_the_optimum_of_the_paper():
    reference = turn(call("f", a=1), call("f", a=1, b=2))
    predicted = turn(call("f", a=1, b=2), call("f", a=1))
    # Each reference finds its equal, whatever the order.
    published = toolrl_score(predicted, reference).correctness
    paper = toolrl_score(predicted, reference, ToolRLSettings(matching="paper")).correctness
    assert published == paper == pytest.approx(3)
    reference = turn(call("f", a=1), call("f", b=1))
    predicted = turn(call("f", a=1, b=1), call("f", a=1, c=1))
    # S_max = 5. Greedy gives the first prediction away: 1 + (½ + 1) + 0; best is 1 + (½ + 1) + (½ + 1).
    assert toolrl_score(predicted, reference).correctness == pytest.approx(6 * 2.5 / 5 - 3)
    best = toolrl_score(predicted, reference, ToolRLSettings(matching="paper")).correctness
    assert best == pytest.approx(6 * 4 / 5 - 3)


def test_names_are_a_multiset_in_the_program_and_a_set_in_the_paper():
    reference, predicted = turn(call("f"), call("f")), turn(call("f"))
    assert toolrl_score(predicted, reference).correctness == pytest.approx(6 * (0.5 + 1) / 3 - 3)
    paper = ToolRLSettings(matching="paper")
    assert toolrl_score(predicted, reference, paper).correctness == pytest.approx(6 * (1 + 1) / 3 - 3)


@pytest.mark.parametrize(
    ("settings", "step", "expected"),
    [
        ({}, 0, (0, 1, -3, 3)),
        ({"equal_max": True}, 0, (0, 1, -1, 1)),
        ({"two_stage": True}, 29, (0, 1, -1, 1)),
        ({"two_stage": True}, 30, (0, 0.5, -3, 3)),
        ({"dynamic_scale": True}, 0, (-2, 2, -2, 2)),
        ({"dynamic_scale": True}, 75, (-1, 1.5, -2.5, 2.5)),
        ({"dynamic_scale": True}, 105, (-1, 1.3, -2.7, 2.7)),
        ({"dynamic_scale": True}, 200, (-1, 1, -3, 3)),
    ],
)
def test_schedules(settings, step, expected):
    ranges = reward_ranges(ToolRLSettings(**settings), step)
    found = (ranges.format_low, ranges.format_high, ranges.correct_low, ranges.correct_high)
    assert found == pytest.approx(expected)


def test_strict_variants():
    swapped = turn(call("f", a=1), call("g", b=1))
    reference = turn(call("g", b=1), call("f", a=1))
    assert toolrl_score(swapped, reference).correctness == pytest.approx(3)
    fine = toolrl_score(swapped, reference, ToolRLSettings(finegrained=True))
    assert fine.correctness == pytest.approx(6 * 4 / 5 - 3)  # the names lose their point
    assert toolrl_score(swapped, reference, ToolRLSettings(coarse=True)).correctness == -3
    half = turn(call("g", b=1), call("f", a=2))
    whole = toolrl_score(half, reference, ToolRLSettings(intermediate=True))
    assert whole.correctness == pytest.approx(6 * (1 + 1) / 3 - 3)


@pytest.mark.parametrize(
    ("words", "length", "step", "expected"),
    [
        (64, "fixed", 0, 0.12),  # 0.125 rounds to even
        (192, "fixed", 0, 0.38),
        (9999, "fixed", 0, 1),
        (64, "none", 0, 0),
        (192, "dynamic", 0, 0.5),
        (320, "dynamic", 105, 0.5),
    ],
)
def test_length_counts_words(words, length, step, expected):
    text = turn(response="x", thought="w " * words)
    assert toolrl_score(text, text, ToolRLSettings(length=length), step).length == expected
    assert toolrl_score("no tags", text, ToolRLSettings(length=length), step).length == 0


def rollouts(*turns, answer=REFERENCE):
    task = Task("t7", ({"role": "user", "content": "?"},), answer=answer)
    made = [Rollout(task, (Turn("prompt", ()), one), (0, 1), 0, "t7", StopReason.ANSWERED) for one in turns]
    return task, made


def test_reward_scores_what_the_dialect_read_and_follows_the_step():
    reward = ToolRLReward(ToolRLSettings(two_stage=True))
    ended = Turn("assistant", (), REFERENCE + "<|im_end|>\n", content=REFERENCE)
    task, group = rollouts(ended, Turn("assistant", (), REFERENCE), Turn("assistant", (), ended.text))
    # Where nobody told text and end token apart, the token is part of what was said.
    assert [one.total for one in reward(task, group)] == [2, 2, 1]
    reward.begin_step(30)
    first, second, _ = reward(task, group)
    assert first.parts == second.parts == {"format": 0.5, "correctness": 3, "length": 0}
    fresh = ToolRLReward(ToolRLSettings(two_stage=True))
    fresh.load_state_dict(reward.state_dict())
    assert fresh(task, group) == reward(task, group)


@pytest.mark.parametrize("answer", [None, ["a"], "<think> a </think>\n<tool_call>\nnot json\n</tool_call>"])
def test_a_task_without_a_reference_turn_is_refused_by_name(answer):
    task, group = rollouts(Turn("assistant", (), "x"), answer=answer)
    with pytest.raises(ToolwiseError, match="task 't7', field 'answer'"):
        ToolRLReward()(task, group)


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, 4 / 3]), min_size=3, max_size=3), max_size=4))
def test_assignment_is_optimal(scores):
    chosen = best_assignment(scores)
    used = [column for column in chosen if column >= 0]
    assert len(used) == len(set(used))
    total = sum(row[column] for row, column in zip(scores, chosen, strict=True) if column >= 0)
    wide = [[*row, 0.0, 0.0, 0.0, 0.0] for row in scores]
    orders = permutations(range(7), len(scores))
    assert total == pytest.approx(
        max(sum(wide[row][column] for row, column in enumerate(order)) for order in orders)
    )
