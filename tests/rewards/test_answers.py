import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolwise.core import ErrorKind, Rollout, StopReason, Task, ToolCall, ToolwiseError, Turn
from toolwise.rewards import (
    ExactMatchReward,
    F1Reward,
    NumericReward,
    contains_match,
    exact_match,
    f1_score,
    find_numbers,
    normalize_answer,
    reference_answers,
    reference_numbers,
    short_answer,
    well_formed,
)


def task(answer, name="t"):
    return Task(name, ({"role": "user", "content": "?"},), answer=answer)


def rollout(text, calls=(), stop=StopReason.ANSWERED, error=None):
    turns = (
        Turn("prompt", ()),
        Turn("assistant", (), calls=tuple(calls), error=error),
        Turn("tool", ()),
        Turn("assistant", (), answer=text),
    )
    return Rollout(task(None), turns, (0, 1, 2, 3), 0, "t", stop)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Beatles", "beatles"),
        ("A an THE", ""),
        ("rock-n-roll", "rocknroll"),
        ("  Two\n words ", "two words"),
        ("Beyoncé", "beyoncé"),
        ("“quoted”", "“quoted”"),
        ("another", "another"),
    ],
)
def test_normalisation(text, normal):
    assert normalize_answer(text) == normal


@given(st.text())
def test_normalisation_is_idempotent(text):
    once = normalize_answer(text)
    # Deleting an article can join nothing new, as words stay apart.
    assert normalize_answer(once) == once


def test_matching_against_aliases():
    assert exact_match("beatles!", ["Rolling Stones", "The Beatles"])
    assert not exact_match("Barack Obama", ["Obama"])
    assert contains_match("Barack Obama", ["Obama"])
    assert not contains_match("Obama", ["Barack Obama"])


def test_f1_by_hand():
    assert f1_score("Barack Obama", ["Obama"]) == pytest.approx(2 / 3)
    assert f1_score("a b c d", ["c d e", "x"]) == pytest.approx(2 * 2 / (3 + 3))  # "a" is an article
    assert f1_score("Paris", ["London"]) == 0
    assert f1_score("", [""]) == 1
    assert f1_score("", ["x"]) == 0


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("x", ("x",)),
        (["x", "y"], ("x", "y")),
        (7, ("7",)),
        ({"target": ["x"]}, ("x",)),
        ([1, "one"], ("1", "one")),
    ],
)
def test_references(answer, found):
    assert reference_answers(task(answer)) == found


@pytest.mark.parametrize("answer", [None, [], {}, True, {"other": 1}])
def test_a_task_without_a_reference_is_refused_by_name(answer):
    with pytest.raises(ToolwiseError, match="task 'lonely', field 'answer'"):
        reference_answers(task(answer, "lonely"))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("$1,234.50", [1234.5]),
        ("1,234, then 5,678.", [1234, 5678]),
        ("1,23", [1, 23]),
        ("3-4", [3, 4]),
        ("-$5 and −6", [-5, -6]),
        (".5 -.5", [0.5, -0.5]),
        ("so x=5.", [5]),
        ("1,000,000 or 2e3 or 50%", [1_000_000, 2000, 50]),
        ("1e999", []),
        ("none", []),
    ],
)
def test_numbers_in_text(text, numbers):
    assert find_numbers(text) == numbers


@given(st.integers(-(10**12), 10**12))
def test_thousands_separators_are_read_back(number):
    assert find_numbers(f"It is {number:,}.") == [number]


def test_gsm8k_references():
    assert reference_numbers(task("She has 3*4=12 eggs, sells 2.\n#### 1,012")) == (1012,)
    with pytest.raises(ToolwiseError, match="holds no number"):
        reference_numbers(task("a lot"))


def test_numeric_reward():
    score = NumericReward()
    texts = ["First 3, so 1,012.00", "1012 or 3", "no idea", None]
    found = score(task("#### 1012"), [rollout(text) for text in texts])
    assert [reward.total for reward in found] == [1, 0, 0, 0]
    marked = NumericReward(after="Answer:")
    texts = ["It is 7.\nAnswer: 1012 eggs (not 3)", "1012"]
    assert [reward.total for reward in marked(task(1012), [rollout(text) for text in texts])] == [1, 0]
    close = NumericReward(tolerance=0.01)
    assert [r.total for r in close(task(200), [rollout("201.9"), rollout("202.1")])] == [1, 0]


def test_short_answer_is_the_line_after_the_last_marker():
    text = "Answer: no, wait.\nAnswer:  Paris \nthat is all"
    assert short_answer(rollout(text), "Answer:") == "Paris"
    assert short_answer(rollout("Paris"), "Answer:") is None
    assert short_answer(rollout("Paris"), None) == "Paris"


def test_exact_match_and_f1_rewards_have_parts():
    group = [rollout("the Eiffel Tower"), rollout("Eiffel"), rollout(None, stop=StopReason.MAX_TURNS)]
    exact = ExactMatchReward(format_weight=0.5)(task(["Eiffel tower"]), group)
    assert [reward.total for reward in exact] == [1.5, 0.5, 0]
    assert exact[0].parts == {"correct": 1.0, "format": 1.0}
    assert [reward.total for reward in F1Reward()(task("Eiffel tower"), group)] == pytest.approx(
        [1, 2 / 3, 0]
    )


def test_format_wants_an_answer_and_no_malformed_call():
    assert well_formed(rollout("x", calls=[ToolCall("f")]))
    assert well_formed(rollout("x", calls=[ToolCall("f", error=ErrorKind.UNKNOWN_TOOL)]))
    assert not well_formed(rollout("x", calls=[ToolCall("f", error=ErrorKind.MALFORMED_CALL)]))
    assert not well_formed(rollout("x", error=ErrorKind.TRUNCATED))
    assert not well_formed(rollout(None, stop=StopReason.MAX_TOKENS))
    assert not well_formed(rollout("x", stop=StopReason.CONTEXT))
