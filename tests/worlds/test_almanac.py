"""The almanac: what stands in the text is what can be known, and perfect calls give the right answers."""

import asyncio
import json
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolwise.core import ToolCall
from toolwise.dialects import HermesDialect
from toolwise.tools import Session
from toolwise.worlds.almanac import (
    KINDS,
    TOOLS,
    WorldSize,
    ask,
    build_world,
    pretraining_documents,
    sample_questions,
    tasks,
)
from toolwise.worlds.almanac.agent import almanac_toolbox
from toolwise.worlds.almanac.base import train_tokenizer
from toolwise.worlds.almanac.demonstrations import demonstrate
from toolwise.worlds.almanac.questions import questions

SIZE = WorldSize(known_people=40, unknown_people=60, towns=30, prizes=30, dishes=30)


@cache
def world():
    return build_world(0, SIZE)


@cache
def tokenizer():
    return train_tokenizer(world())


def test_equal_seeds_give_equal_worlds_and_other_seeds_others():
    assert build_world(0, SIZE) == world()
    assert build_world(1, SIZE) != world()


def test_what_is_stable_agrees_and_what_changed_does_not():
    for (relation, subject), learned in world().learned.items():
        changed = relation in ("mayor", "champion", "holder")
        assert (world().current[relation, subject] != learned) == changed


def test_the_text_holds_every_known_person_and_no_unknown_one():
    text = "\n".join(document for epoch in range(4) for document in pretraining_documents(world(), epoch))
    assert all(person in text for person in world().known_people)
    assert not [person for person in world().unknown_people if person in text]


@pytest.mark.parametrize("kind", KINDS)
def test_splits_ask_about_different_subjects(kind):
    found = [{q.subject for q in questions(world(), kind, s)} for s in ("train", "validation", "heldout")]
    assert all(found)
    assert not found[0] & found[1]
    assert not found[0] & found[2]
    assert not found[1] & found[2]


@pytest.mark.parametrize("kind", KINDS)
def test_perfect_calls_give_the_answer(kind):
    toolbox = almanac_toolbox(world())
    for question in questions(world(), kind, "heldout")[:20]:
        task = ask(question)
        assert task.info["needs_tool"] == (question.belief != question.answer)
        results = [
            asyncio.run(toolbox.run(ToolCall(tool, {name: value}), Session(task)))
            for tool, name, value in question.calls
        ]
        assert all(result.error is None for result in results)
        assert question.answer in results[-1].content


def test_tasks_hide_nothing_in_the_prompt_and_come_in_a_fixed_order():
    chosen = tasks(world(), "heldout", dict.fromkeys(KINDS, 3), seed=4)
    assert [task.id for task in chosen] == [
        task.id for task in tasks(world(), "heldout", dict.fromkeys(KINDS, 3), seed=4)
    ]
    assert len({task.id for task in chosen}) == len(chosen)
    assert all(str(task.answer) not in task.prompt[0]["content"].split() for task in chosen)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60))
def test_any_text_survives_the_tokenizer(text):
    assert tokenizer().decode(tokenizer()(text)["input_ids"], clean_up_tokenization_spaces=False) == text


def test_a_name_is_the_same_tokens_in_a_sentence_a_question_and_a_query():
    person = world().known_people[0]
    wanted = tokenizer()(f" {person}")["input_ids"]
    assert len(wanted) == 2
    for text in (
        f"The trade of {person} is x.",
        f"Where was {person} born?",
        f'{{"query": "trade of {person}"}}',
    ):
        ids = tokenizer()(text)["input_ids"]
        assert any(ids[place : place + 2] == wanted for place in range(len(ids)))


def test_demonstrations_call_what_a_perfect_agent_calls_and_train_on_no_made_up_belief():
    dialect = HermesDialect(tokenizer())
    chosen = sample_questions(world(), "train", dict.fromkeys(KINDS, 8), 1)
    beliefs = [question.belief or "nonsense" for question, _ in chosen]
    specs = almanac_toolbox(world()).specs(TOOLS)
    trees = demonstrate(
        world(), chosen, beliefs, specs, dialect, direct_share=0.5, decision_weight=5.0, seed=0
    )
    direct = 0
    for (question, _), belief, tree in zip(chosen, beliefs, trees, strict=True):
        first = tree.turns[1]
        for turn, (tool, name, value) in zip(tree.turns[1::2], question.calls, strict=False):
            if turn.calls:
                assert (turn.calls[0].name, turn.calls[0].arguments) == (tool, {name: value})
        assert tree.turns[-1].answer == f"Answer: {question.answer}"
        assert first.thought == f"{question.recall}{belief}."
        assert first.weights.count(5.0) == 1
        decision = first.token_ids[first.weights.index(5.0)]
        assert (decision == tokenizer().convert_tokens_to_ids("<tool_call>")) == bool(first.calls)
        dropped = [token for token, weight in zip(first.token_ids, first.weights, strict=True) if not weight]
        assert tokenizer().decode(dropped).strip() == ("" if question.belief else "nonsense")
        direct += not first.calls
        assert first.calls or not KINDS[question.kind].needs_tool
    assert 0 < direct < len(trees) / 2


def test_the_template_shows_the_tools():
    specs = almanac_toolbox(world()).specs(TOOLS)
    text = tokenizer().apply_chat_template(
        [{"role": "user", "content": "Hello"}], tools=specs, tokenize=False, add_generation_prompt=True
    )
    assert "search(query) calculator(expression) ask_user(question)" in text
    assert json.dumps(specs)


def test_another_day_changes_what_is_beyond_knowledge_and_nothing_else():
    world = build_world(0)
    assert world.another_day(0) is world
    other = world.another_day(1)
    assert other == world.another_day(1) != world.another_day(2)
    assert (other.learned, list(other.current)) == (world.learned, list(world.current))
    changed = 0
    for key, value in world.current.items():
        if world.learned.get(key) == value:
            assert other.current[key] == value
        else:
            assert other.current[key] != world.learned.get(key)
            changed += other.current[key] != value
    beyond = sum(world.learned.get(key) != value for key, value in world.current.items())
    assert changed > 0.9 * beyond
