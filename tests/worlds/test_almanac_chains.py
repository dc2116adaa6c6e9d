"""SMART chains of the almanac: a tool just where knowledge ends, real outputs, no made-up belief taught."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest

from toolwise.dialects import SmartDialect
from toolwise.dialects.step_tools import call_of
from toolwise.tools import Session
from toolwise.worlds.almanac import KINDS, TOOLS, WorldSize, ask, build_world
from toolwise.worlds.almanac.agent import almanac_toolbox
from toolwise.worlds.almanac.base import train_tokenizer
from toolwise.worlds.almanac.chains import (
    CHAIN_TOOLS,
    COPY_WEIGHT,
    INSTRUCTION,
    chain,
    chain_messages,
    demonstrate_chains,
    final_response,
)
from toolwise.worlds.almanac.questions import questions

SIZE = WorldSize(known_people=40, unknown_people=60, towns=30, prizes=30, dishes=30)


@cache
def world():
    return build_world(0, SIZE)


@cache
def dialect():
    return SmartDialect(train_tokenizer(world()), instruction=INSTRUCTION, tools=CHAIN_TOOLS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_is_called_just_where_it_is_needed_and_gives_what_the_chain_says(kind):
    toolbox = almanac_toolbox(world())
    for question in questions(world(), kind, "train")[:5]:
        steps = chain(world(), question)
        called = [step for step in steps if step.tool is not None]
        assert len(called) == KINDS[kind].needs_tool
        for step in called:
            result = asyncio.run(toolbox.run(call_of(step, CHAIN_TOOLS), Session(ask(question))))
            assert (result.content, result.error) == (step.output, None)
        assert question.answer in (steps[-1].output or steps[-1].body)


def test_a_wrong_belief_about_something_known_is_looked_up():
    question = questions(world(), "known person", "train")[0]
    assert [step.title for step in chain(world(), question, "something else")] == [
        "Recall",
        "Look up",
    ]
    assert len(chain(world(), question, question.answer)) == 1


def pairs_of(tree):
    """Tokens of the first turn and their weights."""
    first = tree.turns[1]
    tokens = [dialect()._template.decode([token]) for token in first.token_ids]
    return list(zip(tokens, first.supervised_weights, strict=True))


def demonstrated(chosen, beliefs):
    specs = almanac_toolbox(world()).specs(TOOLS)
    return demonstrate_chains(world(), chosen, beliefs, specs, dialect(), decision_weight=5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_demonstration_reads_back_as_its_chain_and_does_not_teach_made_up_beliefs(kind):
    question = questions(world(), kind, "train")[0]
    made_up = "Nonsense"
    for belief in {question.belief or "unknown", made_up}:
        (tree,) = demonstrated([(question, 0)], [belief])
        recalled = belief if question.belief else "unknown"
        steps = chain(world(), question, recalled)
        calls = [call for turn in tree.turns for call in turn.calls]
        assert calls == [call_of(step, CHAIN_TOOLS) for step in steps if step.tool is not None]
        assert tree.turns[-1].answer == f"Answer: {question.answer}"
        assert len(tree.turns) == 2 + 2 * len(calls)
        pairs = pairs_of(tree)
        text = "".join(token for token, _ in pairs)
        assert f"{question.recall}{recalled}. " in text
        untaught = "".join(token for token, weight in pairs if weight == 0)
        assert untaught.strip(" .") == (recalled if recalled == made_up else "")
        *before, decision = [place for place, (_, weight) in enumerate(pairs) if weight == 5]
        said = "".join(token for token, _ in pairs[:decision])
        assert said.endswith(f"{recalled}. This is")
        # Where the text says nothing, saying so decides already.
        assert [pairs[place][0].strip() for place in before] == ([] if question.belief else ["unknown"])


def test_names_that_are_copied_weigh_more():
    question = questions(world(), "changed fact", "train")[0]
    (tree,) = demonstrated([(question, 0)], [question.belief])
    copied = [token.strip() for token, weight in pairs_of(tree) if weight == COPY_WEIGHT]
    assert copied == [question.subject] * 2
    last = tree.turns[-1]
    tokens = [dialect()._template.decode([token]).strip() for token in last.token_ids]
    weighed = [
        token for token, weight in zip(tokens, last.supervised_weights, strict=True) if weight == COPY_WEIGHT
    ]
    assert weighed == [question.answer]


@pytest.mark.parametrize("kind", ["changed fact", "two-hop", "unknown person"])
def test_a_question_that_comes_again_has_to_be_looked_up_again(kind):
    question = questions(world(), kind, "train")[0]
    trees = demonstrated([(question, 0)] * 6, [question.belief or "unknown"] * 6)
    found = [next(turn for turn in tree.turns if turn.role == "tool").text for tree in trees]
    assert len(set(found)) > 1
    if kind != "two-hop":
        for tree, output in zip(trees, found, strict=True):
            assert tree.turns[-1].answer.removeprefix("Answer: ") in output
    assert demonstrated([(question, 0)], ["unknown"])[0].turns[-1].answer == f"Answer: {question.answer}"


@pytest.mark.parametrize("kind", ["known person", "stable fact", "small arithmetic", "common default"])
def test_what_is_known_stays_the_same(kind):
    question = questions(world(), kind, "train")[0]
    trees = demonstrated([(question, 0)] * 4, [question.answer] * 4)
    assert {tree.turns[-1].answer for tree in trees} == {f"Answer: {question.answer}"}
    assert all(len(tree.turns) == 2 for tree in trees)


def test_steps_are_numbered_on_from_turn_to_turn():
    question = questions(world(), "two-hop", "train")[0]
    messages = chain_messages(chain(world(), question), final_response(question))
    assert [message["role"] for message in messages] == ["assistant", "tool", "assistant"]
    assert "- Step 1: " in messages[0]["content"]
    assert messages[0]["content"].count("(tool: Search)") == 1
    assert messages[2]["content"].startswith("- Step 3: Recall (general reasoning)\n")
    assert messages[2]["content"].endswith(f"### Final Response\nAnswer: {question.answer}")
