"""DAST: levels and bands by hand, harder questions get more, and what is drawn is drawn once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from toolwise.core import Task, ToolwiseError
from toolwise.core.records import read_rows
from toolwise.data import read_demonstrations, read_preferences, read_tasks
from toolwise.data.dast import (
    DastPlan,
    Drawn,
    Level,
    LevelThresholds,
    accuracy_band,
    preference_pairs,
    run_dast,
    uniform_targets,
)
from toolwise.data.dast.sampling import distinct, exemplars

EASY, MEDIUM, HARD, UNSOLVED = Level


@pytest.mark.parametrize(
    ("correct", "level"),
    [(0, UNSOLVED), (1, HARD), (6, HARD), (7, MEDIUM), (11, MEDIUM), (12, EASY), (16, EASY)],
)
def test_levels_of_sixteen_samples(correct, level):
    # 6/16 = 0.375 < 0.4 <= 7/16; 11/16 = 0.6875 <= 0.7 < 12/16.
    assert LevelThresholds().level(correct, 16) is level


@pytest.mark.parametrize(
    ("correct", "band"),
    [
        (0, "unknown"),
        (1, "weak"),
        (2, "low"),
        (3, "low"),
        (4, "medium"),
        (7, "medium"),
        (8, "high"),
        (10, "certain"),
    ],
)
def test_the_six_bands_of_ten_samples(correct, band):
    assert accuracy_band(correct, 10) == band


@given(st.integers(1, 64).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_bands_lie_within_levels(counts):
    level = LevelThresholds().level(*counts)
    bands = {EASY: {"certain", "high"}, MEDIUM: {"medium"}, HARD: {"low", "weak"}, UNSOLVED: {"unknown"}}
    assert accuracy_band(*counts) in bands[level]


def test_plans_that_make_no_sense_are_refused():
    with pytest.raises(ValidationError, match="harder queries want more"):
        DastPlan(targets={EASY: 8, MEDIUM: 4, HARD: 4, UNSOLVED: 8})
    with pytest.raises(ValidationError, match="no value for the level unsolved"):
        DastPlan(budgets={EASY: 8, MEDIUM: 4, HARD: 4})
    with pytest.raises(ValidationError, match="less than hard_below"):
        LevelThresholds(hard_below=0.5, easy_above=0.4)


LEVELS_OF = {"a": EASY, "b": MEDIUM, "c": HARD, "d": UNSOLVED, "e": EASY}


def test_targets_by_level_and_the_same_total_spread_evenly():
    assert DastPlan().target_of(LEVELS_OF) == {"a": 4, "b": 4, "c": 8, "d": 8, "e": 4}
    even = DastPlan(proportion=False).target_of(LEVELS_OF)
    assert even == {"a": 6, "b": 6, "c": 6, "d": 5, "e": 5}
    assert uniform_targets([], 3) == {}


@given(st.integers(1, 40), st.integers(0, 400))
def test_even_targets_keep_the_total_and_differ_by_one_at_most(count, total):
    found = uniform_targets([str(number) for number in range(count)], total).values()
    assert sum(found) == total
    assert max(found) - min(found) <= 1


def test_pairs_repeat_wrong_answers_only_where_they_are_fewer():
    assert preference_pairs(["a", "b", "c"], ["x", "y"], 8) == [("a", "x"), ("b", "y"), ("c", "x")]
    assert preference_pairs(["a", "b", "c"], ["x", "y"], 2) == [("a", "x"), ("b", "y")]
    assert preference_pairs(["a"], [], 8) == []


def test_answers_that_differ_in_spacing_are_one():
    assert distinct(["a  b", "a b", " ", "b a"]) == ["a  b", "b a"]


def graded(name, level, *answers):
    samples = [{"text": text, "correct": correct} for text, correct in answers]
    return {"id": name, "question": f"{name}?", "level": str(level), "samples": samples}


def test_exemplars_are_the_longest_right_answers_of_the_level():
    pools = exemplars(
        [
            graded("a", EASY, ("short", True), ("a longer one", True), ("the longest of all, wrong", False)),
            graded("h", HARD, ("many words in it", True)),
            graded("u", UNSOLVED, ("wrong", False)),
        ]
    )
    assert [shot.answer for shot in pools[EASY]] == ["a longer one"]
    # Nothing is medium: the easier level's are taken; unsolved ones have the hard level's.
    assert pools[MEDIUM] == pools[EASY]
    assert [shot.id for shot in pools[UNSOLVED]] == [shot.id for shot in pools[HARD]] == ["h"]


TASKS = [
    Task(name, ({"role": "system", "content": "S"}, {"role": "user", "content": f"{name}?"}), answer="x")
    for name in ("easy", "hard", "never", "late")
]
RATES = {"easy": 1, "hard": 4, "never": 0, "late": 16}
"""Every so-manieth sample is right."""


class Policy:
    """A test double of a policy: deterministic samples, each drawn once."""

    def __init__(self, breaks_after=None):
        self.drawn, self.shown, self.breaks_after = [], {}, breaks_after

    async def draw(self, name, shown, key, count):
        if self.breaks_after is not None and len(self.drawn) >= self.breaks_after:
            raise ToolwiseError("the sampler is gone", where="double")
        self.drawn.append((name, key, count))
        self.shown[name, key] = [shot.id for shot in shown]
        start = 0 if key == "difficulty" else 100 + int(key.split()[1])
        rate = RATES[name]
        # 'late' is never right at first, and later in every sixteenth sample.
        silent = name == "late" and key == "difficulty"
        return [
            Drawn(f"{name} {start + n}", bool(rate) and not silent and (start + n) % rate == 0)
            for n in range(count)
        ]


def run(out, policy, **settings):
    plan = DastPlan(samples=8, shots=2, chunk=4, **settings)
    return asyncio.run(run_dast(TASKS, policy.draw, plan, out, name="double", concurrency=1))


def rows_of(path):
    return {row.record["id"]: row.record for row in read_rows(path)}


def test_a_round_by_hand(tmp_path):
    policy = Policy()
    report = run(tmp_path, policy)
    levels = {name: row["level"] for name, row in rows_of(tmp_path / "1-difficulty.jsonl").items()}
    assert levels == {"easy": "easy", "hard": "hard", "never": "unsolved", "late": "unsolved"}
    assert rows_of(tmp_path / "1-difficulty.jsonl")["hard"]["share"] == 0.25
    rows = rows_of(tmp_path / "2-answers.jsonl")
    # Easy: four right ones in its first chunk. Hard: one in four, so eight need eight chunks. Late: of its 64
    # samples 100 … 163 those divisible by 16.
    assert (rows["easy"]["spent"], len(rows["easy"]["right"])) == (4, 4)
    assert (rows["hard"]["spent"], len(rows["hard"]["right"])) == (32, 8)
    assert (rows["late"]["spent"], rows["late"]["right"]) == (64, [f"late {n}" for n in (112, 128, 144, 160)])
    assert dict(report.stages[1].dropped) == {"no right answer within the budget of the level unsolved": 1}
    # Only 'hard' is hard, and no query is its own exemplar.
    assert policy.shown["late", "answers 0"] == ["hard"]
    assert policy.shown["hard", "answers 0"] == policy.shown["easy", "answers 0"] == []
    assert policy.shown["hard", "difficulty"] == []
    counts = report.levels
    assert [counts[level].queries for level in Level] == [1, 0, 1, 2]
    assert [counts[level].answers for level in Level] == [4, 0, 8, 4]
    assert counts[HARD].query_share == 0.25
    assert counts[HARD].answer_share == 0.5
    assert counts[UNSOLVED].solved == 1
    assert counts[EASY].mean_words == 2.0
    assert [counts[level].pairs for level in Level] == [0, 0, 8, 4]
    assert report.without_wrong == 1
    infos = {task.id: dict(task.info) for task in read_tasks(tmp_path / "tasks.jsonl")}
    assert infos["hard"] == {"level": "hard", "known_share": 0.25}
    assert len(infos) == 4
    demonstrations = read_demonstrations(tmp_path / "demonstrations.jsonl")
    assert len(demonstrations) == 16
    # The data hold the plain query, without exemplars.
    late = next(one for one in demonstrations if one.id == "late/0")
    assert [message["content"] for message in late.messages] == ["S", "late?", "late 112"]
    pairs = read_preferences(tmp_path / "preferences.jsonl")
    assert len(pairs) == 12
    first = next(one for one in pairs if one.id == "hard/0")
    assert (first.chosen[0]["content"], first.rejected[0]["content"]) == ("hard 100", "hard 1")


def test_without_exemplars_the_first_samples_count(tmp_path):
    policy = Policy()
    run(tmp_path, policy, length=False)
    rows = rows_of(tmp_path / "2-answers.jsonl")
    assert rows["easy"]["spent"] == 0
    assert rows["easy"]["right"] == [f"easy {n}" for n in range(4)]
    # Two of its eight first samples were right; six more take six chunks.
    assert rows["hard"]["spent"] == 24
    assert all(shown == [] for shown in policy.shown.values())


def test_after_a_stop_nothing_is_drawn_twice(tmp_path):
    broken = Policy(breaks_after=6)
    with pytest.raises(ToolwiseError, match="sampler is gone"):
        run(tmp_path / "out", broken)
    again = Policy()
    run(tmp_path / "out", again)
    finished = {(name, key) for name, key, _ in broken.drawn if key == "difficulty" or name == "easy"}
    assert not finished & {(name, key) for name, key, _ in again.drawn}
    run(tmp_path / "straight", Policy())
    for name in ("demonstrations.jsonl", "preferences.jsonl", "report.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


def test_a_policy_that_is_never_right_is_said(tmp_path):
    never = [task for task in TASKS if task.id == "never"]
    plan = DastPlan(samples=2)
    with pytest.raises(ToolwiseError, match="no query has a right answer"):
        asyncio.run(run_dast(never, Policy().draw, plan, tmp_path, name="double"))
