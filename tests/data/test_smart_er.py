"""SMART-ER: what goes on and what is dropped, real tool outputs, going on after a stop, training pairs."""

from __future__ import annotations

import asyncio
import csv
import json
from collections import Counter
from contextlib import nullcontext

import pytest
from scripted_frontier import WrongAtFirst

from toolwise.core import ToolwiseError
from toolwise.core.records import read_rows
from toolwise.data import read_demonstrations
from toolwise.data.smart_er import (
    Dropped,
    SourceQuestion,
    played_user,
    prompts,
    read_source,
    run_pipeline,
    run_stage,
    segments,
    training_pairs,
)
from toolwise.data.smart_er.checks import chain_problem
from toolwise.data.smart_er.sources import boxed
from toolwise.dialects import STEP_TOOLS, StepTool
from toolwise.dialects.smart_steps import Step, parse_steps
from toolwise.tools import SearchIndex, Toolbox, calculator, search_tool

TOOLS = {**STEP_TOOLS, "Code": StepTool("calculator", "expression", fenced=True)}
SOLUTION = {"solution": "Multiply, then add."}
VAGUE = {
    "vague": True,
    "missing_details": [{"description": "Destination", "importance": "3", "options": ["Rome"]}],
}
QUESTIONS = [
    SourceQuestion("m1", "math", "17 + 4?", ("21",)),
    SourceQuestion("m2", "math", "1234 * 5678, plus 4?", ("7,006,656", "7006656.0"), SOLUTION),
    SourceQuestion("m3", "math", "12 * 12, plus 1?", ("145",)),
    SourceQuestion("m4", "math", "One step?", ("1",)),
    SourceQuestion("t1", "time", "Who is the mayor of Ulm now?", ("Ada",), {"fact_type": "fast-changing"}),
    SourceQuestion("t2", "time", "Who wrote Faust?", ("Goethe",), {"fact_type": "never-changing"}),
    SourceQuestion("i1", "intention", "Plan a trip.", (), VAGUE),
    SourceQuestion("i2", "intention", "Book a flight.", (), VAGUE),
    SourceQuestion("i3", "intention", "What is 1 + 1?", (), {"vague": False, "missing_details": []}),
]


def run(out, model, questions=QUESTIONS, **options):
    search = search_tool(SearchIndex.from_texts(["The mayor of Ulm is Ada, born in Linz."]), top_k=1)
    toolbox = Toolbox([calculator(), search, played_user(model)])
    options = {"concurrency": 1, **options}
    return asyncio.run(run_pipeline(questions, model, toolbox, TOOLS, out, **options))


def rows(path):
    return [row.record for row in read_rows(path)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("smart-er")
    model = WrongAtFirst()
    return out, model, run(out, model)


def test_each_stage_counts_and_names_what_it_drops(finished):
    out, _, reports = finished
    found = {report.name: (report.read, report.kept, dict(report.dropped)) for report in reports}
    assert found == {
        "2-selected": (
            9,
            6,
            {
                "the model answers it without tools": 1,
                "it is not fast-changing": 1,
                "it takes tools even when the intention is known": 1,
                "it is not vague": 1,
            },
        ),
        "3-goals": (6, 4, {"it is one goal only": 2}),
        "4-annotated": (4, 3, {"no goal takes a tool": 1}),
        "5-tools": (3, 3, {}),
        "6-steps": (3, 3, {}),
        "7-justified": (3, 3, {}),
        "8-checked": (3, 3, {}),
    }
    dropped = rows(out / "2-selected.dropped.jsonl")
    assert [entry["id"] for entry in dropped] == ["m1", "t2", "i2", "i3"]
    for report in reports:
        review = rows(out / "review" / f"{report.name}.jsonl")
        assert len(review) == 1
        assert review[0]["pass"] is None


def test_the_chain_holds_real_outputs_and_a_justification_for_every_goal(finished):
    out, _, _ = finished
    checked = {row["id"]: row for row in rows(out / "8-checked.jsonl")}
    math = [Step.from_record(record) for record in checked["m2"]["chain"]]
    assert math == [
        Step("Judge what is needed to multiply the two numbers", "A tool is needed here."),
        Step("Multiply the two numbers", "```python\n1234 * 5678\n```", "Code", "7006652"),
        # What looks like a step of its own is defused.
        Step("Add four", "Step 9: 7006652 plus 4 is 7006656. No tool is needed."),
    ]
    assert checked["m2"]["verified"] is True
    time, intention = checked["t1-0"]["chain"], checked["i1"]["chain"]
    assert checked["t1-0"]["hints"]["source_question"] == "Who is the mayor of Ulm now?"
    assert [step["output"] for step in time if "output" in step] == [
        "1. The mayor of Ulm is Ada, born in Linz."
    ]
    assert [step["output"] for step in intention if "output" in step] == ["To Rome"]


def test_pairs_are_the_stretches_of_a_chain_and_demonstrations_the_whole_of_it(finished):
    out, _, _ = finished
    pairs = [pair for pair in rows(out / "pairs.jsonl") if pair["id"].startswith("m2/")]
    assert len(pairs) == 2  # one tool step, and the last stretch
    assert pairs[0]["input"] == "### Task\n1234 * 5678, plus 4?\n\n### Reasoning Steps\n"
    assert pairs[0]["output"].endswith("(tool: Code)\n```python\n1234 * 5678\n```")
    assert pairs[1]["input"].endswith("```python\n1234 * 5678\n```\n- Output: 7006652")
    assert pairs[1]["output"].startswith("- Step 3: Add four (general reasoning)\n")
    assert pairs[1]["output"].endswith("### Final Response\n7006656")
    assert all("- Code: Evaluate" in pair["instruction"] for pair in pairs)
    assert not any("- Search: " in pair["instruction"] for pair in pairs)
    details = [pair["missing_details"] for pair in rows(out / "pairs.jsonl") if pair["domain"] == "intention"]
    assert details == [[{"description": "Destination", "importance": "3"}]] * 2
    whole = {one.id: one for one in read_demonstrations(out / "demonstrations.jsonl")}
    assert [message["role"] for message in whole["m2"].messages] == ["user", "assistant", "tool", "assistant"]
    # All tools of the domain are on offer, not only those that the chain calls.
    assert whole["i1"].tools == ("ask_user", "search")
    marked = [pair["output"] for pair in rows(out / "pairs-indicator.jsonl") if pair["id"].startswith("m2/")]
    assert "- Step 2: [[Code]] Multiply the two numbers (tool: Code)" in marked[0]
    assert marked[1].startswith("- Step 3: [[Reasoning]] Add four (general reasoning)")


def test_a_stopped_run_goes_on_and_asks_nothing_twice(finished, tmp_path):
    out, straight, _ = finished
    asked = []
    for breaks_after in (9, 9, 9, 9, None):
        model = WrongAtFirst(breaks_after)
        gone = nullcontext() if breaks_after is None else pytest.raises(ToolwiseError, match="not answer")
        with gone:
            run(tmp_path, model)
        asked += model.asked
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert [(out / name).read_bytes() == (tmp_path / name).read_bytes() for name in files] == [True] * len(
        files
    )
    # What was asked again are the earlier questions of the rows that were interrupted midway.
    again = Counter(asked) - Counter(straight.asked)
    assert sum(again.values()) < len(asked) / 2
    last = WrongAtFirst()
    run(tmp_path, last)
    assert last.asked == []


def test_another_setting_does_a_stage_anew(finished, tmp_path):
    model = WrongAtFirst()
    run(tmp_path, model, QUESTIONS[1:2])
    begun = len(model.asked)
    run(tmp_path, model, QUESTIONS[1:2])
    assert len(model.asked) == begun
    run(tmp_path, model, QUESTIONS[1:2], name="another model")
    assert len(model.asked) == 2 * begun


def test_parquet_holds_what_jsonl_holds(finished, tmp_path):
    out, _, _ = finished
    run(tmp_path, WrongAtFirst(), suffix=".parquet")
    for name in ("pairs", "demonstrations-indicator"):
        assert rows(tmp_path / f"{name}.parquet") == rows(out / f"{name}.jsonl")
    again = WrongAtFirst()
    run(tmp_path, again, suffix=".parquet")
    assert again.asked == []


def test_a_reply_that_is_no_json_is_asked_for_once_more_and_then_dropped(tmp_path):
    model = WrongAtFirst()
    model.garbled.add(prompts.DECOMPOSE)
    run(tmp_path, model, QUESTIONS[1:2])

    class Prose(WrongAtFirst):
        def reply(self, system, user):
            return "no" if system == prompts.DECOMPOSE else super().reply(system, user)

    with pytest.raises(ToolwiseError, match="'3-goals': 1 × a reply was not the JSON"):
        run(tmp_path / "prose", Prose(), QUESTIONS[1:2])


def test_a_tool_that_fails_twice_drops_the_row_and_a_missing_tool_is_refused_first(tmp_path):
    class Stubborn(WrongAtFirst):
        def reply(self, system, user):
            return (
                json.dumps({"argument": "1 +"}) if system == prompts.REPAIR else super().reply(system, user)
            )

    with pytest.raises(ToolwiseError, match="'6-steps': 1 × a call of Code fails twice"):
        run(tmp_path, Stubborn(), QUESTIONS[1:2])
    model = WrongAtFirst()
    begun = run_pipeline(QUESTIONS[4:5], model, Toolbox([calculator()]), TOOLS, tmp_path / "none")
    with pytest.raises(ToolwiseError, match="calls 'search', which is not there"):
        asyncio.run(begun)
    assert model.asked == []


def test_a_wrong_final_response_is_dropped(tmp_path):
    class Wrong(WrongAtFirst):
        def reply(self, system, user):
            return "7" if system == prompts.FINAL else super().reply(system, user)

    with pytest.raises(ToolwiseError, match="'8-checked': 1 × the final response is wrong"):
        run(tmp_path, Wrong(), QUESTIONS[1:2])


CALL = Step("Look", "who", "Search", "Ada")


@pytest.mark.parametrize(
    ("steps", "final", "problem"),
    [
        ([Step("A", "b"), CALL], "x", ""),
        ([Step("A", "b"), CALL], " ", "no final response"),
        ([CALL], "x", "all of one kind"),
        ([Step("A", "b")], "x", "all of one kind"),
        ([Step("A", " "), CALL], "x", "a step is empty"),
        ([Step("A", "b"), Step("Look", "who", "Search", "")], "x", "a tool gave nothing"),
        ([Step("A", "b"), CALL, CALL], "x", "made twice"),
        ([Step("A: b", "c"), CALL], "x", "cannot be told apart"),
        ([Step("A", "b\n- Step 2: c (general reasoning)"), CALL], "x", "cannot be told apart"),
        ([Step("A", "b")] * 17 + [CALL], "x", "more than 16 steps"),
    ],
)
def test_what_is_wrong_with_a_chain(steps, final, problem):
    found = chain_problem(steps, final)
    assert (problem in found) if problem else found == ""


def test_there_is_one_pair_more_than_tool_steps_and_together_they_say_the_chain():
    steps = [Step("A", "b"), CALL, Step("Ask", "when", "AskUser", "now"), Step("C", "d")]
    assert [len(part) for part in segments(steps)] == [2, 1, 1]
    pairs = training_pairs("Why?", steps, "so", "Do.")
    written = [step for pair in pairs for step in parse_steps(pair["output"].partition("### Final")[0])]
    assert written == [Step(step.title, step.body, step.tool) for step in steps]
    assert [pair["input"].count("- Output: ") for pair in pairs] == [0, 1, 2]


async def test_rows_of_a_stage_need_ids_of_their_own(tmp_path):
    async def twin(row):
        return [row, row]

    async def picky(row):
        raise Dropped("it is odd")

    with pytest.raises(ToolwiseError, match="ids stand twice"):
        await run_stage("a", [{"id": "1"}, {"id": "1"}], picky, tmp_path)
    with pytest.raises(ToolwiseError, match="ids stand twice"):
        await run_stage("b", [{"id": "1"}], twin, tmp_path)
    kept, report = await run_stage("c", [{"id": "1"}], picky, tmp_path)
    assert (kept, report.dropped) == ([], {"it is odd": 1})
    assert await run_stage("c", [{"id": "1"}], twin, tmp_path) == ([], report)


def test_readers_name_what_they_leave_out(tmp_path):
    path = tmp_path / "math.jsonl"
    problems = [
        {
            "problem": "Find x.",
            "solution": "so \\boxed{\\frac{1}{2}}.",
            "level": "Level 5",
            "type": "Algebra",
        },
        {"question": "How many?", "answer": "He has 3.\n#### 3"},
        {"question": "No answer"},
        {"answer": "1"},
    ]
    path.write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    questions, left_out = read_source("math", path)
    assert [(one.question, one.answers) for one in questions] == [
        ("Find x.", ("\\frac{1}{2}",)),
        ("How many?", ("3",)),
    ]
    assert questions[0].hints == {
        "solution": "so \\boxed{\\frac{1}{2}}.",
        "level": "Level 5",
        "subject": "Algebra",
    }
    assert questions[1].hints == {"solution": "He has 3."}
    assert sum(left_out.values()) == 2
    assert boxed("no box") == boxed("\\boxed{open") == ""
    with pytest.raises(
        ToolwiseError, match=r"no question of the domain time: 4 × it has no 'fact_type'|domain time"
    ):
        read_source("time", path)
    sheet = tmp_path / "fresh.csv"
    with sheet.open("w", newline="") as file:
        file.write("a remark above the table\n")
        table = csv.writer(file)
        table.writerow(["id", "question", "fact_type", "false_premise", "answer_0", "answer_1"])
        table.writerow(["7", "Who?", "fast-changing", "FALSE", "Ada", ""])
        table.writerow(["8", "Why?", "fast-changing", "TRUE", "It is not.", ""])
    (question,), left_out = read_source("time", sheet)
    assert (question.id, question.answers) == ("time-7", ("Ada",))
    assert left_out == {"its premise is false": 1}


@pytest.mark.data
@pytest.mark.parametrize(
    ("domain", "name", "least"),
    [
        ("math", "math500/test.jsonl", 240),
        ("math", "gsm8k/train.jsonl", 7000),
        ("time", "freshqa/freshqa.csv", 200),
        ("intention", "in3_interact/IN3/train.jsonl", 1200),
    ],
)
def test_the_public_sources_are_read(shared_dir, domain, name, least):
    path = shared_dir / "data" / name
    if not path.is_file():
        pytest.skip(f"the public data set {name} is not beside the checkout")
    questions, left_out = read_source(domain, path)
    assert len(questions) >= least
    assert len({question.id for question in questions}) == len(questions)
    assert set(left_out) <= {"its premise is false"}
    if domain == "time":
        kinds = Counter(question.hints["fact_type"] for question in questions)
        assert set(kinds) == {"fast-changing", "slow-changing", "never-changing"}
    if domain == "intention":
        assert {question.hints["vague"] for question in questions} == {True, False}
