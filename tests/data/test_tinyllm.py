"""TinyLLM: teachers are told the answer, rationales become parts, and a stop costs nothing twice."""

from __future__ import annotations

import asyncio
import json

import pytest
from scripted_chat import ScriptedChat

from toolwise.core import ToolwiseError
from toolwise.core.records import Row
from toolwise.data import read_demonstrations, read_tasks
from toolwise.data.tinyllm import (
    ChoiceQuestion,
    Teacher,
    ask_teacher,
    from_file,
    prepare_distillation,
    read_choices,
    student_input,
    teacher_prompt,
)
from toolwise.data.tinyllm.questions import choice_question
from toolwise.data.tinyllm.rationales import chosen_examples
from toolwise.sampling.chat import ChatReply

QUESTIONS = [
    ChoiceQuestion("q1", "What melts?", ("ice", "stone"), 0),
    ChoiceQuestion("q2", "What flies?", ("fish", "bird", "dog"), 1),
    ChoiceQuestion("q3", "What burns?", ("water", "wood"), 1),
    ChoiceQuestion("q4", "What is cold?", ("fire", "snow"), 1),
]


def test_the_prompt_has_the_published_order_and_the_right_answer():
    system, user = teacher_prompt(QUESTIONS[1], QUESTIONS[:1])
    assert system["role"] == "system"
    assert user["content"] == (
        "Question: What melts?\nOptions: (a) ice (b) stone\nAnswer: (a)\n\n"
        "Question: What flies?\nOptions: (a) fish (b) bird (c) dog\nAnswer: (b)\n"
        "Rationale: Let's think step by step."
    )


def test_examples_are_two_others_and_the_same_in_every_run():
    for question in QUESTIONS:
        chosen = chosen_examples(question, QUESTIONS, 2, seed=0)
        assert len({one.id for one in chosen} - {question.id}) == 2
        assert chosen == chosen_examples(question, QUESTIONS, 2, seed=0)
    assert len(chosen_examples(QUESTIONS[0], QUESTIONS[:2], 2, seed=0)) == 1


def test_the_student_reads_one_option_a_line():
    assert student_input(QUESTIONS[0], "predict: ") == (
        "predict: What melts?\nAnswer Choices:\n(a) ice\n(b) stone"
    )


def explain(system, user):
    asked = user.rpartition("Question: ")[2].partition("\n")[0]
    if "flies" in asked:
        return ""
    if "burns" in asked:
        return ChatReply("It goes on and", finish_reason="length")
    return f" Because {asked} "


def run(out, teachers, **options):
    return asyncio.run(prepare_distillation(QUESTIONS, teachers, out, concurrency=1, **options))


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "rationales.jsonl"
    rows = [{"id": "q1", "rationale": "Ice turns to water."}, {"id": "q2", "rationale": "Birds have wings."}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def teachers_of(model, written):
    return [
        from_file("small", written),
        Teacher("large", ask_teacher(model, QUESTIONS), {"model": "scripted"}),
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_each_target_is_a_demonstration_of_its_part(tmp_path, written, suffix):
    made = run(tmp_path / "out", teachers_of(ScriptedChat(explain), written), suffix=suffix)
    assert made.parts == {"answer": 4, "small": 2, "large": 2}
    assert [dict(stage.dropped) for stage in made.stages] == [
        {"the file has no rationale for it": 2},
        {"the teacher said nothing": 1, "the rationale was cut": 1},
    ]
    demonstrations = read_demonstrations(tmp_path / "out" / f"demonstrations{suffix}")
    shown = [(one.id, one.part, *(m["content"] for m in one.messages)) for one in demonstrations[:3]]
    options = "What melts?\nAnswer Choices:\n(a) ice\n(b) stone"
    assert shown == [
        ("q1/answer", "answer", f"predict: {options}", "ice"),
        ("q1/small", "small", f"explain: {options}", "Ice turns to water."),
        ("q1/large", "large", f"rationale: {options}", "Because What melts?"),
    ]
    tasks = read_tasks(tmp_path / "out" / f"tasks{suffix}")
    assert [task.answer for task in tasks] == ["ice", "bird", "wood", "snow"]
    assert tasks[0].prompt[0]["content"] == f"predict: {options}"


def test_after_a_stop_nothing_is_asked_twice(tmp_path, written):
    broken = ScriptedChat(explain, breaks_after=2)
    with pytest.raises(ToolwiseError, match="does not answer"):
        run(tmp_path / "out", teachers_of(broken, written))
    again = ScriptedChat(explain)
    run(tmp_path / "out", teachers_of(again, written))
    assert len(broken.asked) + len(again.asked) == len(QUESTIONS)
    straight = ScriptedChat(explain)
    run(tmp_path / "straight", teachers_of(straight, written))
    name = "demonstrations.jsonl"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    done = ScriptedChat(explain)
    run(tmp_path / "out", teachers_of(done, written))
    assert done.asked == []


def test_names_must_tell_parts_apart(tmp_path, written):
    for names in (["answer"], ["a", "a"], ["a/b"]):
        with pytest.raises(ToolwiseError, match="must differ"):
            run(tmp_path, [from_file(name, written) for name in names])


@pytest.mark.parametrize(
    "record",
    [
        {"question": "Q?", "options": ["x", "y"], "answer": "B"},
        {"question": "Q?", "options": ["x", "y"], "answer": "(b)"},
        {"question": "Q?", "options": ["x", "y"], "answer": 1},
        {"question": "Q?", "options": ["x", "y"], "answer": "y"},
        {"question_stem": "Q?", "choices": {"label": ["1", "2"], "text": ["x", "y"]}, "answerKey": "2"},
        {"question": {"stem": "Q?", "choices": [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}]},
         "answerKey": "B"},
    ],
)  # fmt: skip
def test_public_layouts_are_read(record):
    assert choice_question(Row(3, record)) == ChoiceQuestion("choice-3", "Q?", ("x", "y"), 1)


def test_an_option_wins_over_a_letter():
    record = {"id": 7, "question": "Q?", "options": ["B", "A"], "answer": "A"}
    assert choice_question(Row(1, record)) == ChoiceQuestion("7", "Q?", ("B", "A"), 1)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"options": ["x", "y"], "answer": 0}, "'question' is missing"),
        ({"question": "Q?", "options": ["x", "x"], "answer": 0}, "two different texts"),
        ({"question": "Q?", "options": ["x", "y"], "answer": "C"}, "none of the options"),
        ({"question": "Q?", "options": ["x", "y"], "answer": 2}, "none of the options"),
    ],
)
def test_broken_questions_are_named(record, problem, tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(ToolwiseError, match=problem):
        read_choices(path)
