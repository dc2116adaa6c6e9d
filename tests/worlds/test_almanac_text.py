"""What the text says, what it leaves out, and what the model is found to believe."""

import asyncio
import itertools
import json
import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolwise.core import ToolCall
from toolwise.dialects import HermesDialect
from toolwise.sampling import EmbeddedSampler, FinishReason, Sample
from toolwise.tools import Session
from toolwise.worlds.almanac import (
    KINDS,
    TOOLS,
    WorldSize,
    ask,
    build_world,
    pretraining_documents,
    sample_questions,
)
from toolwise.worlds.almanac.agent import PretrainingText, almanac_toolbox, recall
from toolwise.worlds.almanac.base import new_model, train_tokenizer
from toolwise.worlds.almanac.demonstrations import demonstrate
from toolwise.worlds.almanac.questions import questions, wordings
from toolwise.worlds.almanac.text import UNKNOWN, UNRECORDED
from toolwise.worlds.almanac.world import CHANGING_RELATIONS, article, statement

SPLITS = ("train", "validation", "heldout")
STATEMENT = re.compile(r"The (?:usual )?(\w+) of (?:the |a )?([^?]+?) is ([^.]+)\.")


@cache
def world():
    return build_world(3, WorldSize(known_people=60, unknown_people=90, towns=40, prizes=40, dishes=40))


@cache
def tokenizer():
    return train_tokenizer(world())


@cache
def text(epochs=3):
    return "\n".join(
        document for epoch in range(epochs) for document in pretraining_documents(world(), epoch)
    )


def every_question():
    return [
        (split, question)
        for kind in KINDS
        for split in SPLITS
        for question in questions(world(), kind, split)
    ]


def test_a_pass_depends_on_world_and_epoch_only():
    first, second = (list(pretraining_documents(world(), epoch)) for epoch in (0, 1))
    assert list(pretraining_documents(world(), 0)) == first
    assert sorted(first) != sorted(second)


def test_every_pass_states_every_learned_fact_and_nothing_else():
    """Whatever the text states is learned, or a right sum; so what it left out cannot be known."""
    for epoch in range(2):
        stated = set()
        for document in pretraining_documents(world(), epoch):
            for relation, subject, value in STATEMENT.findall(document):
                if value == UNKNOWN:
                    assert subject not in (*world().known_people, *world().unknown_people)
                elif relation == "value":
                    left, operator, right = subject.split()
                    assert int(value) == (
                        int(left) + int(right) if operator == "+" else int(left) * int(right)
                    )
                else:
                    assert world().learned[relation, subject] == value, document
                    stated.add((relation, subject))
        assert stated == set(world().learned)


def test_people_of_whom_nothing_is_recorded_are_ever_new():
    """Whom the text calls unknown cannot be learnt by heart, so it must be told from what is recalled."""
    named = [
        [subject for _, subject, value in STATEMENT.findall(document) if value == UNKNOWN]
        for epoch in range(2)
        for document in [" ".join(pretraining_documents(world(), epoch))]
    ]
    assert [len(names) for names in named] == [UNRECORDED, UNRECORDED]
    assert len(set(named[0]) & set(named[1])) < 0.2 * UNRECORDED


def test_documents_hold_one_line_or_several():
    lengths = [document.count("\n") for document in pretraining_documents(world(), 0)]
    assert 0.4 < lengths.count(0) / len(lengths) < 0.8


def test_what_has_changed_stands_nowhere_in_the_text():
    for (relation, subject), value in world().current.items():
        if relation in (*CHANGING_RELATIONS, "holder"):
            assert statement(relation, subject, value) not in text()


def test_the_text_never_gives_a_long_result_or_an_own_wish():
    for _, question in every_question():
        if question.kind == "long arithmetic":
            assert f"{question.recall}{question.answer}." not in text()
            assert question.belief is None
        if question.kind == "own preference":
            assert f"{question.recall}{question.answer}." not in text()
            assert f"{question.recall}{question.belief}." in text()


def test_a_needed_tool_is_one_that_the_text_does_not_make_needless():
    for _, question in every_question():
        known = question.belief is not None and question.belief == question.answer
        assert KINDS[question.kind].needs_tool != known


def test_no_question_is_asked_in_two_splits():
    """Not even in other words, or as another kind: what two kinds ask about, one split has."""
    asked = {}
    subjects = {}
    families = {
        "stable fact": "town",
        "changed fact": "town",
        "common default": "dish",
        "own preference": "dish",
    }
    for split, question in every_question():
        for wording in range(wordings(question)):
            task = ask(question, wording)
            assert asked.setdefault(task.prompt[0]["content"], split) == split
            assert json.loads(json.dumps(task.to_record())) == task.to_record()
        family = families.get(question.kind, question.kind)
        subject = question.subject.removeprefix("a ")
        assert subjects.setdefault((family, subject), split) == split


def test_question_ids_are_unique():
    ids = [question.id for _, question in every_question()]
    assert len(ids) == len(set(ids))


def test_people_are_known_or_unknown_by_their_names_alone_together():
    """No part of a name tells: first and last names of unknown people stand in the text."""
    parts = {part for person in world().unknown_people for part in person.split()}
    seen = {part for person in world().known_people for part in person.split()}
    assert len(parts & seen) > 0.5 * len(parts)


def test_the_user_tells_the_wish_to_any_question_about_it_and_nothing_else():
    toolbox = almanac_toolbox(world())

    def answer(task, question):
        call = ToolCall("ask_user", {"question": question})
        return asyncio.run(toolbox.run(call, Session(task))).content

    for question in questions(world(), "own preference", "heldout"):
        task = ask(question)
        topic = question.persona[0][0]
        assert answer(task, f"What {topic} would you like?") == question.answer != question.belief
        other = "drink" if topic.startswith("topping") else "topping"
        assert answer(task, f"Which {other} do you like?") == "I have no preference."
    for question in questions(world(), "common default", "heldout"):
        assert answer(ask(question), question.calls[0][2]) == question.answer


def test_the_calculator_gives_what_the_questions_hold_to_be_right():
    toolbox = almanac_toolbox(world())
    for kind in ("small arithmetic", "long arithmetic"):
        for question in questions(world(), kind, "heldout"):
            (tool, name, value), *_ = question.calls
            result = asyncio.run(toolbox.run(ToolCall(tool, {name: value}), Session(ask(question))))
            assert result.content == question.answer


@settings(max_examples=25, deadline=None)
@given(content=st.text(max_size=30))
def test_the_template_keeps_every_character_of_a_message(content):
    rendered = tokenizer().apply_chat_template([{"role": "user", "content": content}], tokenize=False)
    assert rendered == f"<|im_start|>user\n{content}<|im_end|>\n"


def test_names_are_one_token_each_wherever_they_stand():
    ids = tokenizer()
    towns = world().towns
    for name in [*towns[:10], *(part for person in world().known_people[:10] for part in person.split())]:
        (token,) = ids(f" {name}")["input_ids"]
        for sentence in (f"The river of {name} is x.", f"Lies {name}?", f'{{"query": "river of {name}"}}'):
            assert token in ids(sentence)["input_ids"]


def test_pretraining_trees_hold_the_documents_and_end_each_of_them():
    trees = PretrainingText(world(), tokenizer(), [0])
    documents = list(pretraining_documents(world(), 0))
    assert len(trees) == len(documents)
    for tree, document in zip(trees, documents, strict=True):
        assert tokenizer().decode(tree.input_ids) == document + "<|endoftext|>"
        assert tree.weight.tolist() == [0.0] + [1.0] * (len(tree) - 1)


def test_a_limit_cuts_the_text_and_a_slice_is_a_list_of_documents():
    trees = PretrainingText(world(), tokenizer(), [0, 1])
    cut = PretrainingText(world(), tokenizer(), itertools.count(), limit=30)
    assert len(cut) == 30
    assert [tree.input_ids.tolist() for tree in cut[10:12]] == [
        trees[place].input_ids.tolist() for place in (10, 11)
    ]


class ScriptedSampler:
    """A test double: completes each stem with what stands in a table."""

    context_length = 512

    def __init__(self, completions):
        self.completions, self.asked = completions, []

    async def generate(self, prompt_ids, params):
        self.asked.append(params)
        said = self.completions[tokenizer().decode(prompt_ids)]
        ids = tuple(tokenizer()(said, add_special_tokens=False)["input_ids"])[: params.max_tokens]
        return Sample(ids, (0.0,) * len(ids), FinishReason.STOP)


def test_recall_reads_the_value_that_the_model_puts_into_the_sentence():
    chosen = [questions(world(), kind, "train")[place] for place, kind in enumerate(KINDS)]
    said = [
        " Blackford.",
        " 12. The",
        " small goat. ",
        "",
        ".",
        " one two three four five six seven",
        " a",
        " b.",
        " c",
    ]
    sampler = ScriptedSampler({q.recall.rstrip(): s for q, s in zip(chosen, said, strict=False)})
    wanted = [words.split(".")[0].strip() for words in said]
    found = recall(chosen, sampler, tokenizer())
    assert found[:5] + found[6:] == wanted[:5] + wanted[6:]
    assert wanted[5].startswith(found[5])
    assert {params.temperature for params in sampler.asked} == {0.0}


def test_recall_asks_a_real_model_for_its_likeliest_words():
    model = new_model(tokenizer(), seed=1).eval()
    chosen = questions(world(), "known person", "train")[:5]
    assert recall(chosen, EmbeddedSampler(model), tokenizer()) == recall(
        chosen, EmbeddedSampler(model, max_rows=1), tokenizer()
    )


@pytest.mark.parametrize("belief", ["nonsense", "Zog Blarf", "12345", "otter"])
def test_weights_are_zero_on_a_made_up_belief_and_nowhere_else(belief):
    dialect = HermesDialect(tokenizer())
    chosen = [
        (question, wording)
        for question, wording in sample_questions(world(), "train", dict.fromkeys(KINDS, 6), 2)
        if question.belief != belief
    ]
    specs = almanac_toolbox(world()).specs(TOOLS)
    beliefs = [belief if place % 2 else question.belief for place, (question, _) in enumerate(chosen)]
    chosen = [pair for pair, said in zip(chosen, beliefs, strict=True) if said is not None]
    beliefs = [said for said in beliefs if said is not None]
    trees = demonstrate(world(), chosen, beliefs, specs, dialect, direct_share=0.5)
    assert belief in beliefs
    for (question, _), said, tree in zip(chosen, beliefs, trees, strict=True):
        first = tree.turns[1]
        untrained = [i for i, weight in enumerate(first.supervised_weights) if weight == 0]
        if said == question.belief:
            assert untrained == []
        else:
            assert untrained == list(range(untrained[0], untrained[-1] + 1))
            assert tokenizer().decode([first.token_ids[i] for i in untrained]).strip() == said
            assert first.calls  # nobody answers out of a belief that the text does not bear out
        # Everything else that the assistant says is trained on, and nothing that it reads.
        for turn in tree.turns[2:]:
            assert set(turn.supervised_weights) == {1.0 if turn.role == "assistant" else 0.0}


def test_demonstrated_results_are_those_of_the_tools():
    toolbox = almanac_toolbox(world())
    dialect = HermesDialect(tokenizer())
    chosen = sample_questions(world(), "train", dict.fromkeys(KINDS, 6), 5)
    beliefs = [question.belief or "nobody" for question, _ in chosen]
    trees = demonstrate(world(), chosen, beliefs, toolbox.specs(TOOLS), dialect, direct_share=0.0)
    for (question, wording), tree in zip(chosen, trees, strict=True):
        (rollout,) = tree.rollouts()
        assert rollout.calls == len(question.calls)
        for asked, read in zip(rollout.turns[1::2], rollout.turns[2::2], strict=False):
            real = asyncio.run(toolbox.run_all(asked.calls, Session(ask(question, wording))))
            assert [result.content for result in read.results] == [result.content for result in real]


def test_articles_are_those_of_the_sentences():
    assert article("holder", "Sun Cup") == "the "
    assert article("topping", "small pie") == "a "
    assert article("trade", "Ann Baker") == ""
