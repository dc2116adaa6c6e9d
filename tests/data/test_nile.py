"""NILE: each model plays its part, the filter drops the shares it says, and a stop costs nothing twice."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_chat import ScriptedChat

from toolwise.core import ToolwiseError
from toolwise.core.records import read_rows
from toolwise.data import read_demonstrations
from toolwise.data.nile import (
    InstructionRow,
    NileConfig,
    NileModels,
    filter_consistent,
    instruction_rows,
    knowledge_prompt,
    run_nile,
    word_cosine,
)
from toolwise.data.nile.knowledge import KnowledgeExample, retrieved
from toolwise.data.nile.revision import KSR, SR
from toolwise.tools import SearchIndex

TOPICS = ["tides", "bread", "chess", "copper", "glaciers", "bees", "rust", "violins", "maps", "salt"]
ROWS = [
    InstructionRow(f"r{number}", f"Explain {topic} to a child", f"Old answer on {topic}.")
    for number, topic in enumerate(TOPICS)
]


def strong(system, user):
    topic = user.partition("Explain ")[2].partition(" to")[0]
    if system in (KSR, SR):
        # The later the topic, the less the answer has of the model's knowledge.
        known = ["fact"] * (10 - TOPICS.index(topic))
        return f"{' '.join(known)} {topic}"
    return f"Knowledge: {topic} need care.\n\nAnd more."


class Base:
    """A test double of the base model: recalls the word 'fact' of every query."""

    def __init__(self):
        self.prompts = []

    async def complete(self, text, max_tokens):
        self.prompts.append(text)
        return " fact\nQuery: and it goes on"


async def by_words(row):
    return word_cosine(row["internal"], row["revised"])


def run(out, model, base, **settings):
    config = NileConfig(demonstrations=4, **settings)
    names = {"strong": "s", "base": "b", "reviser": "s", "score": "words"}
    models = NileModels(model, base.complete, model, by_words, names)
    return asyncio.run(run_nile(ROWS, models, config, out, concurrency=1))


def rows_of(path):
    return [row.record for row in read_rows(path)]


def test_from_rows_to_demonstrations(tmp_path):
    model, base = ScriptedChat(strong), Base()
    report = run(tmp_path, model, base, drop_lowest=0.3)
    assert [(stage.name, stage.read, stage.kept) for stage in report.stages] == [
        ("2-demonstrations", 4, 4),
        ("3-knowledge", 10, 10),
        ("4-revised", 10, 10),
        ("5-scored", 10, 10),
        ("6-filtered", 10, 7),
    ]
    assert dict(report.stages[-1].dropped) == {"agrees least with the model's knowledge": 3}
    known = rows_of(tmp_path / "3-knowledge.jsonl")
    assert {row["internal"] for row in known} == {"fact"}
    assert all(len(row["shown"]) == 2 and row["id"] not in row["shown"] for row in known)
    assert rows_of(tmp_path / "2-demonstrations.jsonl")[0]["knowledge"].endswith("need care.")
    revisions = [user for system, user in model.asked if system == KSR]
    assert all("The model's own knowledge: fact" in user for user in revisions)
    # Cosine of n times 'fact' and one other word with 'fact': n / √(n² + 1).
    scores = [row["consistency"] for row in rows_of(tmp_path / "5-scored.jsonl")]
    assert scores == pytest.approx([n / (n * n + 1) ** 0.5 for n in range(10, 0, -1)])
    lost = rows_of(tmp_path / "6-filtered.dropped.jsonl")
    assert [row["id"] for row in lost] == ["r7", "r8", "r9"]
    assert lost[2]["detail"] == "consistency 0.7071"
    made = read_demonstrations(tmp_path / "demonstrations.jsonl")
    assert [one.id for one in made] == [f"r{number}" for number in range(7)]
    assert [message["content"] for message in made[6].messages] == [
        "Explain rust to a child",
        "fact fact fact fact rust",
    ]
    assert report.consistency[0] == pytest.approx(sum(scores) / 10)
    assert report.consistency[1] == pytest.approx(sum(scores[:7]) / 7)


def test_the_baselines_revise_without_knowledge_or_not_at_all(tmp_path):
    model = ScriptedChat(strong)
    run(tmp_path / "sr", model, Base(), revision="sr")
    assert sum(system == SR for system, _ in model.asked) == 10
    assert not any("own knowledge" in user for system, user in model.asked if system == SR)
    untouched = ScriptedChat(strong)
    run(tmp_path / "none", untouched, Base(), revision="none", drop_lowest=0.0)
    assert len(untouched.asked) == 4
    made = read_demonstrations(tmp_path / "none" / "demonstrations.jsonl")
    assert [one.messages[-1]["content"] for one in made] == [row.answer for row in ROWS]


def test_after_a_stop_nothing_is_asked_twice(tmp_path):
    broken, base = ScriptedChat(strong, breaks_after=9), Base()
    with pytest.raises(ToolwiseError, match="does not answer"):
        run(tmp_path / "out", broken, base)
    again = ScriptedChat(strong)
    run(tmp_path / "out", again, base)
    assert len(broken.asked) + len(again.asked) == 4 + 10
    assert len(base.prompts) == 10
    run(tmp_path / "straight", ScriptedChat(strong), Base())
    name = "demonstrations.jsonl"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    # Another threshold filters anew and asks nobody.
    silent = ScriptedChat(strong)
    report = run(tmp_path / "out", silent, base, drop_lowest=0.3)
    assert (silent.asked, report.stages[-1].kept) == ([], 7)


EXAMPLES = [
    KnowledgeExample("d0", "How do bees fly?", "Wings."),
    KnowledgeExample("d1", "What is copper for?", "Wires."),
    KnowledgeExample("d2", "How do bees dance?", "In eights."),
]


def test_the_most_alike_demonstrations_stand_last_and_never_the_own_one():
    index = SearchIndex.from_texts([one.query for one in EXAMPLES])
    row = {"id": "x", "query": "Do bees dance in the dark?"}
    assert [one.id for one in retrieved(index, EXAMPLES, row, 2, "bm25")] == ["d0", "d2"]
    assert [one.id for one in retrieved(index, EXAMPLES, row | {"id": "d2"}, 2, "bm25")] == ["d1", "d0"]
    assert [one.id for one in retrieved(index, EXAMPLES, row, 2, "fixed")] == ["d1", "d0"]
    # Without a shared word the first ones fill up.
    assert [one.id for one in retrieved(index, EXAMPLES, {"id": "x", "query": "Salt"}, 1, "bm25")] == ["d0"]


def test_the_base_model_goes_on_after_the_word_knowledge():
    assert knowledge_prompt("And salt?", EXAMPLES[:1]).endswith(
        "Query: How do bees fly?\nKnowledge: Wings.\n\nQuery: And salt?\nKnowledge:"
    )


def test_the_filter_by_hand():
    found = filter_consistent([0.5, 0.1, 0.9, 0.1, 0.7, 0.3, 0.8, 0.6, 0.2, 0.4], 0.1, 0.2)
    # Of the two lowest the later one goes.
    assert (found.lowest, found.highest) == ((3,), (2, 6))
    assert found.kept == (0, 1, 4, 5, 7, 8, 9)
    assert filter_consistent([1.0] * 9, 0.1).lowest == ()
    assert len(filter_consistent([1.0] * 30, 0.1).lowest) == 3
    assert filter_consistent([], 0.3).kept == ()


SHARES = st.sampled_from([0.0, 0.1, 0.3, 0.49])


@given(st.lists(st.floats(-5, 5), max_size=60), SHARES, SHARES)
def test_the_filter_is_a_partition_by_rank(scores, low, high):
    found = filter_consistent(scores, low, high)
    assert sorted((*found.kept, *found.lowest, *found.highest)) == list(range(len(scores)))
    for worse, better in ((found.lowest, found.kept), (found.kept, found.highest)):
        if worse and better:
            assert max(scores[place] for place in worse) <= min(scores[place] for place in better)


def test_shares_that_leave_nothing_and_scores_that_are_none_are_refused():
    with pytest.raises(ToolwiseError, match="leave nothing"):
        filter_consistent([1.0], 0.6, 0.4)
    with pytest.raises(ToolwiseError, match="first one that of row 2"):
        filter_consistent([1.0, float("nan")], 0.1)


def test_word_cosine_by_hand():
    assert word_cosine("a b", "B, A!") == pytest.approx(1.0)
    assert word_cosine("a a b", "a c") == pytest.approx(2 / (5 * 2) ** 0.5)
    assert word_cosine("a", "b") == word_cosine("", "b") == 0.0


def test_layouts_are_read_and_what_is_left_out_is_counted(tmp_path):
    path = tmp_path / "rows.json"
    records = [
        {"instruction": "Add", "input": "1, 2", "output": "3"},
        {"id": "o", "system_prompt": "Be short.", "question": "Why?", "response": "So."},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]},
        {"instruction": "Nothing follows", "output": " "},
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"output": "x"},
    ]
    path.write_text(json.dumps(records))
    rows, left_out = instruction_rows(path)
    assert rows == [
        InstructionRow("row-1", "Add\n\n1, 2", "3"),
        InstructionRow("o", "Why?", "So.", "Be short."),
        InstructionRow("row-3", "Hi", "Ho"),
    ]
    assert dict(left_out) == {
        "it has no answer": 1,
        "it is no conversation of one turn": 1,
        "it has no instruction": 1,
    }
