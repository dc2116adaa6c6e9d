"""Curation: what goes and why, splits that stay, and a card that says all of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from toolwise.core import ToolwiseError
from toolwise.core.records import read_rows
from toolwise.data.curation import (
    SPLITS,
    CardText,
    CurationConfig,
    EvaluationNgrams,
    NearDuplicates,
    SourceRow,
    assign_split,
    card,
    curate,
    exact_key,
    identify,
    jaccard,
    row_texts,
    script_of,
    shingles,
)
from toolwise.data.curation.duplicates import bands_for
from toolwise.data.curation.pipeline import REASONS, word_statistics

LONG = "the ferry leaves the old harbour at dawn and comes back when the last lamp on the pier is lit again"


def write(path, rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(path):
    return [row.record for row in read_rows(path)]


@pytest.fixture
def mixed(tmp_path):
    near = LONG.replace("again", "anew")
    rows = [
        {"id": "a", "question": LONG, "answer": "Yes.", "origin": "log"},
        {"id": "b", "question": LONG.upper() + "!", "answer": "yes", "origin": "log"},
        {"id": "c", "question": near, "answer": "Yes.", "origin": "log"},
        {"id": "d", "question": "  ", "origin": "log"},
        "not json\n",
        {"id": "e", "question": "Hm?", "origin": "log"},
        {"id": "f", "question": "word " * 60, "origin": "log"},
        {"id": "g", "question": "Куда идёт этот поезд вечером", "origin": "log"},
        {
            "id": "h",
            "question": "Tell me: how many stars does the flag of the tiny island show?",
            "origin": "x",
        },
        {"id": "i", "question": "A row whose group nobody knows."},
        {"id": "j", "question": "How deep is the lake behind the mill, roughly?", "origin": "log"},
    ]
    evaluation = [
        {"question": "How many stars does the flag of the tiny island show?", "answer": "Six"},
    ]
    return write(tmp_path / "rows.jsonl", rows), write(tmp_path / "test_set.jsonl", evaluation)


def test_every_row_is_kept_or_dropped_for_a_named_reason(mixed, tmp_path):
    data, evaluation = mixed
    config = CurationConfig(min_words=2, max_words=50, languages=("latin",), group_by="origin")
    found = curate([data], tmp_path / "out", config, against=[evaluation])
    assert dict(found.dropped) == {
        "cannot be read": 1,
        "has no text": 1,
        "has no group": 1,
        "too short": 1,
        "too long": 1,
        "another language": 1,
        "exact duplicate": 1,
        "overlaps with an evaluation set": 1,
        "near duplicate": 1,
    }
    assert tuple(found.dropped) == REASONS
    assert found.kept + sum(found.dropped.values()) == sum(found.read.values()) == 11
    lost = {row["row"]: (row["reason"], row["detail"]) for row in rows_of(tmp_path / "out" / "dropped.jsonl")}
    assert lost["rows.jsonl, row 2 (b)"] == ("exact duplicate", "of rows.jsonl, row 1 (a)")
    reason, detail = lost["rows.jsonl, row 3 (c)"]
    # 21 words and the answer make 20 shingles each, of which two differ: 18 / 22.
    assert (reason, detail) == ("near duplicate", "of rows.jsonl, row 1 (a) (Jaccard 0.818)")
    reason, detail = lost["rows.jsonl, row 9 (h)"]
    assert detail == (
        "test_set.jsonl, row 1: 'how many stars does the flag of the tiny island show' (1 place)"
    )
    # 'Six' is too short to be looked for.
    assert (found.evaluation_texts, found.evaluation_unchecked) == (1, 1)
    kept = [row["id"] for name in SPLITS for row in rows_of(tmp_path / "out" / f"{name}.jsonl")]
    assert sorted(kept) == ["a", "j"]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == found.to_record()


def test_the_card_states_what_was_removed_and_the_licences(mixed, tmp_path):
    data, evaluation = mixed
    config = CurationConfig(group_by="origin", identify_language=True)
    found = curate([data], tmp_path / "out", config, against=[evaluation])
    text = CardText("Harbour questions", "CC-BY-4.0", ("rows.jsonl: our logs, CC0",), "For tests.")
    lines = card(found, config, text).splitlines()
    assert lines[0] == "---"
    assert "license: CC-BY-4.0" in lines
    assert "- rows.jsonl: our logs, CC0" in lines
    for reason, count in found.dropped.items():
        assert f"| {reason} | {count} |" in lines
    assert f"| all together | {sum(found.dropped.values())} |" in lines
    for name in SPLITS:
        assert f"| {name} | {found.splits[name]} | {found.groups[name]} |" in lines
    assert found.languages["ru"] == 1
    assert any(
        line.startswith("- Overlap: 13 words in a row that stand in test_set.jsonl (1 rows)")
        for line in lines
    )


def test_nothing_left_names_the_reasons(tmp_path):
    data = write(tmp_path / "rows.jsonl", [{"text": "one"}, {"text": "two"}])
    with pytest.raises(ToolwiseError, match=r"no row stays: 2 × too short"):
        curate([data], tmp_path / "out", CurationConfig(min_words=2))
    with pytest.raises(ToolwiseError, match="is named twice"):
        curate([data, data], tmp_path / "out", CurationConfig())
    with pytest.raises(ToolwiseError, match="no row has a text in any of the fields other"):
        curate([data], tmp_path / "out", CurationConfig(fields=("other",)))


def test_shares_must_add_up():
    with pytest.raises(ValidationError, match="add up to 1"):
        CurationConfig(shares=(0.5, 0.4, 0.2))


def test_parquet_in_and_out(tmp_path):
    data = write(tmp_path / "rows.jsonl", [{"text": "one two"}, {"text": "three four"}])
    all_train = CurationConfig(shares=(1.0, 0.0, 0.0))
    curate([data], tmp_path / "a", all_train, suffix=".parquet")
    curate([tmp_path / "a" / "train.parquet"], tmp_path / "b", all_train)
    assert rows_of(tmp_path / "b" / "train.jsonl") == rows_of(data)


# Splits


GROUPS = st.lists(st.text(min_size=1), min_size=1, max_size=50)


@given(GROUPS, GROUPS, st.integers(0, 3))
def test_a_split_is_a_partition_by_group_and_new_rows_move_none(groups, later, seed):
    shares = (0.6, 0.2, 0.2)
    before = {group: assign_split(group, shares, seed) for group in groups}
    after = {group: assign_split(group, shares, seed) for group in [*reversed(later), *groups]}
    assert set(before.values()) <= set(SPLITS)
    assert {group: after[group] for group in before} == before


@given(st.text())
def test_a_share_of_nothing_gets_nothing(group):
    assert assign_split(group, (0.0, 1.0, 0.0), 0) == "dev"
    assert assign_split(group, (0.1, 0.0, 0.9), 1) != "dev"


def test_shares_are_met_on_average_and_the_seed_matters():
    names = [f"group {number}" for number in range(4000)]
    found = [assign_split(name, (0.8, 0.1, 0.1), 0) for name in names]
    # Three standard deviations of a binomial share of 4,000.
    assert found.count("train") / 4000 == pytest.approx(0.8, abs=0.019)
    assert found.count("dev") / 4000 == pytest.approx(0.1, abs=0.0143)
    assert found != [assign_split(name, (0.8, 0.1, 0.1), 1) for name in names]


@given(st.permutations(range(12)))
def test_a_group_is_never_torn(order):
    rows = [(number % 4, f"text {number}") for number in order]
    found = {}
    for group, _ in rows:
        found.setdefault(group, set()).add(assign_split(str(group), (0.4, 0.3, 0.3), 7))
    assert all(len(splits) == 1 for splits in found.values())


# Duplicates


def test_shingles_and_jaccard_by_hand():
    assert shingles("A b, c d!", 3) == {"a b c", "b c d"}
    assert shingles("A b", 3) == {"a b"}
    assert jaccard(frozenset("abc"), frozenset("bcd")) == 0.5
    assert jaccard(frozenset(), frozenset()) == 1.0


def test_exact_keys_forgive_case_space_and_punctuation_only():
    assert exact_key("Two  words.") == exact_key("two words") == exact_key("ＴＷＯ, words!")
    assert exact_key("two words") != exact_key("words two")
    assert exact_key("+ -") != exact_key("- +")


def test_bands_are_the_fewest_that_find_a_pair_at_the_threshold():
    # r = 128 / b: at 0.8, b = 16 misses 4.6 % of the pairs, b = 32 finds all but 3e-8.
    assert pytest.approx(0.947, abs=1e-3) == 1 - (1 - 0.8**8) ** 16
    assert bands_for(0.8, 128) == 32
    assert bands_for(1.0, 128) == 1


@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=4, max_size=9), min_size=1, max_size=25))
def test_near_duplicates_are_true_ones_and_kept_texts_are_found_again(texts):
    near = NearDuplicates(0.6, 2, 128)
    kept = {}
    for number, letters in enumerate(texts):
        text = " ".join(letters)
        found = near.add(str(number), text)
        if found is None:
            kept[str(number)] = shingles(text, 2)
        else:
            name, similarity = found
            assert similarity == jaccard(kept[name], shingles(text, 2)) >= 0.6
    for name, own in kept.items():
        again = near.add("again", " ".join(texts[int(name)]))
        assert again is not None
        assert again[1] == 1.0
        assert kept[again[0]] == own


# Contamination


def evaluation(ngram, *texts, shortest=5):
    found = EvaluationNgrams(ngram, shortest)
    found.add([SourceRow("e.jsonl", number, {}, (text,)) for number, text in enumerate(texts, start=1)])
    return found


@pytest.mark.parametrize(("ngram", "places"), [(5, 4), (8, 1), (9, None)])
def test_overlap_needs_n_words_in_a_row(ngram, places):
    known = evaluation(ngram, "start one two three four five six seven eight end of it")
    found = known.overlap(("X one, two three FOUR five six seven eight Y",))
    assert (None if found is None else found.places) == places


def test_short_evaluation_texts_are_found_whole_or_counted():
    known = evaluation(13, "who built the first mill", "six")
    assert (known.texts, known.unchecked) == (1, 1)
    assert known.overlap(("Say, who built the first mill here?",)).evaluation == "e.jsonl, row 1"
    assert known.overlap(("who built the first boat", "six")) is None
    # A stretch does not run over the seam of two texts.
    assert known.overlap(("who built the", "first mill")) is None


# Texts, languages, statistics


def test_texts_are_found_in_the_usual_layouts():
    chat = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "reasoning_content": "Hm"}]}
    assert row_texts(chat) == ("Hi", "Hm")
    assert row_texts({"conversations": [{"from": "human", "value": "Hi"}]}) == ("Hi",)
    squad = {"question": "Q", "context": "C", "answers": {"text": ["A"], "answer_start": [0]}}
    assert row_texts(squad) == ("Q", "C", "A")
    assert row_texts({"instruction": "I", "input": " ", "output": "O"}) == ("I", "O")
    assert row_texts({"a": "x", "b": "y"}, ("b",)) == ("y",)
    assert row_texts("text") == ()


def test_scripts_and_languages():
    assert [script_of(text) for text in ("Guten Tag", "Добрый день", "你好", "123 !")] == [
        "latin",
        "cyrillic",
        "cjk",
        "none",
    ]
    of = identify(True).of
    assert of("Der Zug fährt heute leider nicht bis zum Hauptbahnhof.") == "de"
    assert of("The train does not go to the main station today.") == "en"
    assert of("42!") == "none"


def test_statistics_by_nearest_rank():
    assert word_statistics([]) == {}
    found = word_statistics(list(range(1, 21)))
    assert found == {"total": 210, "mean": 10.5, "min": 1, "p5": 1, "p50": 10, "p95": 19, "max": 20}
