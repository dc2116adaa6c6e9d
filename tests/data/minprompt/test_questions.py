"""Questions: natural ones by grammar, the published ones, the filter, and the prompt shapes."""

from __future__ import annotations

import pytest

from toolwise.data.minprompt.clauses import Unnatural
from toolwise.data.minprompt.entities import Entity
from toolwise.data.minprompt.grammar import natural_question
from toolwise.data.minprompt.prompts import extract_answer, prompt_source, prompt_target
from toolwise.data.minprompt.published import published_question
from toolwise.data.minprompt.questions import Refused, check_answerable

pytest.importorskip("lemminflect", reason="the extra minprompt is not installed")


def entity(sentence, text, label):
    return Entity(text, label, sentence.index(text))


NATURAL = [
    ("The Lakers play their home games at Staples Center.", "Staples Center", "FAC",
     "Where do the Lakers play their home games?"),
    ("Marie Curie won the prize in 1911.", "1911", "DATE", "When did Marie Curie win the prize?"),
    ("Marie Curie won the prize in 1911.", "Marie Curie", "PERSON", "Who won the prize in 1911?"),
    ("In 1889, Gustave Eiffel finished the tower.", "1889", "DATE",
     "When did Gustave Eiffel finish the tower?"),
    ("In 1889, Gustave Eiffel finished the tower.", "Gustave Eiffel", "PERSON",
     "Who finished the tower in 1889?"),
    ("The tower was designed by Gustave Eiffel.", "Gustave Eiffel", "PERSON",
     "Who was the tower designed by?"),
    ("The show drew six million visitors in 1851.", "six million", "CARDINAL",
     "How many visitors did the show draw in 1851?"),
    ("The Habsburg museum has moved to Vienna, where it is today.", "Vienna", "GPE",
     "Where has the Habsburg museum moved?"),
    ("40 percent of the farmers grow their own rice.", "40 percent", "PERCENT",
     "What percentage of the farmers grow their own rice?"),
    ("Ada, a mathematician, wrote the first program in London.", "London", "GPE",
     "Where did Ada write the first program?"),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "answer", "label", "question"), NATURAL)
def test_grammar_reads_naturally(sentence, answer, label, question):
    names = [entity(sentence, answer, label)]
    assert natural_question(sentence, names[0], names) == question


@pytest.mark.parametrize(
    ("sentence", "answer", "label", "reason"),
    [
        ("He was born in Ulm.", "Ulm", "GPE", "pronoun"),
        ("Who was born in Ulm?", "Ulm", "GPE", "question"),
        ("Because the war ended, London grew.", "London", "GPE", "does not begin with its subject"),
        ("The city did not grow in 1900.", "1900", "DATE", "negated"),
        ("Of Ulm.", "Ulm", "GPE", "short|verb"),
    ],
)
def test_grammar_says_why_it_asks_nothing(sentence, answer, label, reason):
    with pytest.raises(Unnatural, match=reason):
        natural_question(sentence, entity(sentence, answer, label))


def test_a_line_break_keeps_the_published_question_a_statement():
    assert published_question("the city\nis Rome today", "Rome", "GPE") == "The city is Rome today?"
    assert published_question("A cat sat", "dog", "XYZ") == "A cat sat?"


@pytest.mark.parametrize(
    ("question", "answer", "context", "reason"),
    [
        ("Who wrote it first?", "Ada", "Bob wrote.", "does not stand"),
        ("Who is Ada Lovelace?", "ada", "It was Ada; it was ada.", "holds the answer"),
        ("What is it?", "the", "the end", "empty"),
        ("What?", "Ada", "Ada", "short"),
    ],
)
def test_what_cannot_be_answered_is_refused(question, answer, context, reason):
    with pytest.raises(Refused, match=reason):
        check_answerable(question, answer, context)


def test_a_part_of_a_word_is_not_the_answer():
    check_answerable("Who has a canada goose?", "Ada", "Ada has a Canada goose.")


def test_prompt_shapes_and_the_last_answer():
    assert prompt_source("Who  is it?", "A\nb") == "Question: Who is it? Answer: <mask>. Context: A b"
    assert prompt_target("Who?", "Bob") == "Question: Who? Answer: Bob"
    assert prompt_source("Who?", "A", "release") == "Question: Who?. Answer:  <mask> . Context: A"
    assert extract_answer("Question: What is the Answer: key? Answer: Bob Context: x") == "Bob"
    assert extract_answer("Question: What is the Answer: key? Answer: Bob", "first") == "key?"
    assert extract_answer("nothing") == ""
