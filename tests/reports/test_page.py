"""The page as a file: complete, self-contained, and deaf to what models write."""

import json
import random
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import metrics, rollout, turn, write_jsonl

from toolwise.core import ToolwiseError
from toolwise.reports import read_run, write_report
from toolwise.reports.browser import MAX_STEPS, compact, embed_rollouts
from toolwise.reports.island import island_json

HOSTILE = (
    "</script><script>document.documentElement.dataset.owned='1'</script>"
    "<!--<img src=x onerror=\"a('1')\">{{7*7}}"
)


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.island, self.words = [], [], "", []
        self.inside = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.inside = tag
        if tag == "script" and ("id", "data") in attrs:
            self.inside = "island"

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "island":
            self.island += data
        else:
            self.words.append(data)


def hostile_rollout():
    record = rollout("grpo", 1, 1, 0)
    record |= {"task_id": HOSTILE, "stop": HOSTILE, "policy": HOSTILE, "parts": {HOSTILE: 1.0}}
    record["info"] |= {"kind": HOSTILE, HOSTILE: HOSTILE}
    record["turns"] = [
        {
            "role": HOSTILE,
            "text": HOSTILE,
            "calls": [{"name": HOSTILE, "arguments": {HOSTILE: HOSTILE}, "error": HOSTILE}],
        },
        {
            "role": "tool",
            "tokens": [HOSTILE, "\ud800"],
            "results": [{"name": HOSTILE, "content": HOSTILE, "error": None}],
        },
        {"role": "assistant", "tokens": [HOSTILE], "answer": HOSTILE, "error": HOSTILE, "sampled": True},
    ]
    return record


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    write_jsonl(folder / "metrics.jsonl", [{"step": 1, "phase": HOSTILE, HOSTILE: 1.0, "loss": 2.0}])
    write_jsonl(folder / "rollouts" / "a.jsonl", [hostile_rollout()])
    (folder / "config.yaml").write_text(HOSTILE)
    part = {"questions": 1, "overuse": 0.5, "accuracy": 0.5}
    record = {"policy": HOSTILE, **part, "by_kind": {HOSTILE: part}, "by_level": {HOSTILE: part}}
    (folder / "results.json").write_text(json.dumps([record]))
    return write_report(folder)


def test_hostile_text_adds_no_markup(hostile_page):
    found = Tags(hostile_page.read_text())
    assert found.tags.count("script") == 2
    assert "img" not in found.tags
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "{{7*7}}" in "".join(found.words)  # shown as it was written, not rendered
    (record,) = json.loads(found.island)["rollouts"]
    assert record["task"] == HOSTILE
    assert record["turns"][1]["results"][0]["content"] == HOSTILE
    assert "<" not in found.island


@given(
    st.recursive(
        st.text() | st.none() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_the_data_island_is_json_without_markup(value):
    text = island_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_numbers_that_json_lacks_become_null():
    assert json.loads(island_json({"a": [float("nan"), float("inf"), 1.5]})) == {"a": [None, None, 1.5]}


def test_the_page_has_all_parts_and_asks_nothing_of_the_network(made_up_run, tmp_path):
    file = write_report(made_up_run, tmp_path / "deep" / "page.html")
    page = file.read_text()
    found = Tags(page)
    for anchor in ("results", "boundary", "kinds", "curves", "rollouts", "doctor", "config"):
        assert ("id", anchor) in found.attributes
        assert ("href", f"#{anchor}") in found.attributes
    assert not [
        value for name, value in found.attributes if name in ("src", "href") and not value.startswith("#")
    ]
    assert not re.findall(r"url\(|@import|https?://", page)
    assert not {"link", "iframe", "object", "embed", "base"} & set(found.tags)
    assert found.tags.count("svg") > 20


def test_the_table_shows_the_numbers_of_the_results_file(made_up_run, tmp_path):
    words = "".join(Tags(write_report(made_up_run, tmp_path / "page.html").read_text()).words)
    for record in json.loads((made_up_run / "results.json").read_text()):
        assert f"{record['boundary_agreement'] * 100:.1f}%" in words
        assert f"{record['tool_productivity']:.2f}" in words
        low, high = record["intervals"]["overuse"]
        assert f"{low * 100:.1f} – {high * 100:.1f}" in words
        # In the picture "needed" shows the share called, which is 1 − underuse.
        assert f"{(1 - record['underuse']) * 100:.0f}%" in words


def test_a_run_with_metrics_only_gives_a_page_with_what_there_is(tmp_path):
    write_jsonl(tmp_path / "metrics.jsonl", metrics("sft", 30))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 31')
    found = Tags(write_report(tmp_path).read_text())
    anchors = {value for name, value in found.attributes if name == "id"}
    assert {"curves", "doctor"} <= anchors
    assert not {"results", "boundary", "rollouts", "config"} & anchors
    assert "1 unreadable line was left out" in "".join(found.words)


def test_gaps_in_results_are_dashes(tmp_path):
    (tmp_path / "results.json").write_text(
        '[{"policy": "plain", "accuracy": NaN, "overuse": null, "intervals": 3, "by_kind": {"x": 1}}]'
    )
    found = Tags(write_report(tmp_path).read_text())
    assert "plain" in found.words
    assert ("id", "boundary") not in found.attributes


def test_a_policy_with_several_seeds_has_a_row_for_each(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps([{"policy": "otc", "seed": seed} for seed in (1, 2)]))
    words = Tags(write_report(tmp_path).read_text()).words
    assert {"otc · seed 1", "otc · seed 2"} <= set(words)


def test_rollouts_are_capped_and_the_rest_is_counted(tmp_path):
    records = [
        rollout("grpo", step, question, sample)
        for step in range(30)
        for question in range(5)
        for sample in range(4)
    ]
    write_jsonl(tmp_path / "rollouts" / "a.jsonl", records)
    one = len(island_json(compact(records[0], "grpo")))
    chosen = embed_rollouts(read_run(tmp_path), budget=60 * one)
    assert chosen.total == 600
    assert 30 <= len(chosen.rollouts) <= 80
    steps = [record["step"] for record in chosen.rollouts]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0, 29)
    assert len(set(steps)) == MAX_STEPS
    groups = {(record["step"], record["group"]) for record in chosen.rollouts}
    assert len(chosen.rollouts) == 4 * len(groups)  # groups stay whole
    page = write_report(tmp_path).read_text()
    embedded = len(json.loads(Tags(page).island)["rollouts"])
    assert f"{embedded} of 600 rollouts are in this page" in page
    assert f"{600 - embedded} were left out" in page


def test_a_big_run_stays_under_five_megabytes(tmp_path):
    long = " ".join(str(number) for number in range(4000))
    records = []
    for step in range(60):
        record = rollout("grpo", step, step, 0)
        record["turns"].append(
            turn("tool", long, random.Random(0), results=[{"name": "s", "content": "x" * 10**5}])
        )
        records.append(record)
    write_jsonl(tmp_path / "rollouts" / "a.jsonl", records)
    figures = [{"step": step} | {f"m{name}": step % 7 for name in range(90)} for step in range(900)]
    write_jsonl(tmp_path / "metrics.jsonl", figures)
    page = write_report(tmp_path)
    assert page.stat().st_size < 5_000_000
    last = json.loads(Tags(page.read_text()).island)["rollouts"][0]["turns"][-1]
    assert len(last["tokens"]) == 3000
    assert last["more"] == 1000
    assert last["results"][0]["content"].endswith("[92000 characters left out]")


def test_colours_stand_only_beside_tokens_they_belong_to():
    record = rollout("grpo", 1, 1, 0)
    record["turns"][-1]["advantages"] = [1.0]
    short = compact(record, "grpo")["turns"][-1]
    assert "advantages" not in short
    assert len(short["logprobs"]) == len(short["tokens"])


def test_a_page_that_cannot_be_written_says_so(made_up_run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolwiseError, match="cannot be written"):
        write_report(made_up_run, tmp_path / "file" / "page.html")
