"""API-Bank, MetaTool, short answers, mathematics, and what is reported."""

from __future__ import annotations

import json

import pytest

from toolwise.core import Task, ToolCall, ToolwiseError
from toolwise.evaluation.benchmarks import (
    ItemScore,
    Output,
    ScoredItem,
    api_bank_benchmark,
    bfcl_measures,
    measures_table,
    metatool_awareness_benchmark,
    score_awareness,
    score_mathematics,
    score_outputs,
    score_request,
    score_selection,
    score_short_answer,
    score_toolrl,
    short_answer,
    short_answer_benchmark,
)


def task(answer, **info):
    return Task("t", (), answer=answer, info=info)


REQUEST = task("API-Request: [AddMeeting(topic='Plan, then act', people='['Ann', 'Bo']')]")


@pytest.mark.parametrize(
    "text, right, api",
    [
        ("API-Request: [AddMeeting(topic='Plan, then act', people='['Ann', 'Bo']')]", True, 1),
        ("[AddMeeting(people=\"['Ann', 'Bo']\", topic='Plan, then act')] I hope.", True, 1),
        ("[AddMeeting(topic='Plan', people='['Ann', 'Bo']')]", False, 1),
        ("[AddMeeting(topic='Plan, then act')]", False, 1),
        ("[AddAgenda(topic='Plan, then act', people='['Ann', 'Bo']')]", False, 0),
        ("AddMeeting", False, 0),
        (
            '<tool_call>\n{"name": "AddMeeting", "arguments": {"topic": "Plan, then act", '
            '"people": ["Ann", "Bo"]}}\n</tool_call>',
            True,
            1,
        ),
    ],
)
def test_requests(text, right, api):
    score = score_request(REQUEST, Output(text))
    assert (score.correct, score.parts["api"]) == (right, api)


def test_a_request_that_came_as_a_call():
    call = ToolCall("AddMeeting", {"topic": "Plan, then act", "people": ["Ann", "Bo"]})
    assert score_request(REQUEST, Output(given_calls=(call,))).correct
    assert not score_request(REQUEST, Output(given_calls=(call, call))).correct
    assert score_request(task("[Now()]"), Output("[Now()]")).correct


GOLD = {"name": "f", "parameters": {"a": 1}}


@pytest.mark.parametrize(
    "block, right",
    [
        ('{"name": "f", "parameters": {"a": 1}}', True),
        ('{"name": "g", "parameters": {}}\nnot json\n{"name": "f", "parameters": {"a": 1}}', True),
        ('{"a": 1}', True),  # bare parameters
        ('{"name": "f"}', False),
        ('{"name": "f", "parameters": {"a": 1, "b": 2}}', False),
        ('{"name": "f", "parameters": {"a": "1"}}', False),
        ("", False),
    ],
)
def test_toolrl_protocol(block, right):
    output = Output(f"<think>t</think>\n<tool_call>\n{block}\n</tool_call>")
    assert score_toolrl(task(GOLD), output).correct is right


def test_toolrl_protocol_reads_the_last_block():
    right, wrong = '{"name": "f", "parameters": {"a": 1}}', '{"name": "g", "parameters": {}}'
    blocks = "<tool_call>\n{}\n</tool_call>"
    both = blocks.format(right) + blocks.format(wrong)
    assert not score_toolrl(task(GOLD), Output(both)).correct
    assert not score_toolrl(task(GOLD), Output("f")).correct


@pytest.mark.parametrize(
    "text, right",
    [
        ("Yes, it is.", True),
        ("<think>no</think> yes", True),
        ("No. Yes.", False),
        ("Perhaps, I know.", False),
    ],
)
def test_awareness(text, right):
    assert score_awareness(task("yes"), Output(text)).correct is right


def test_measures_of_awareness():
    said = [("yes", "yes"), ("yes", "yes"), ("yes", "no"), ("no", "yes"), ("no", "no"), ("no", "perhaps")]
    tasks = [Task(str(i), (), answer=answer) for i, (answer, _) in enumerate(said)]
    outputs = {str(i): Output(text) for i, (_, text) in enumerate(said)}
    benchmark = metatool_awareness_benchmark()
    found = {m.name: m.value for m in benchmark.measures(score_outputs(benchmark, tasks, outputs))}
    assert found == pytest.approx({"accuracy": 3 / 6, "precision": 2 / 3, "recall": 2 / 3, "F1": 2 / 3})


NAMES = ["Chart", "ChartTool", "news", "None_Tool"]


@pytest.mark.parametrize(
    "right, text, fits",
    [
        (["ChartTool"], "ChartTool, since Chart cannot draw.", True),
        (["ChartTool"], "Chart, or ChartTool.", False),
        (["news"], "The tool is 'news'.", True),
        (["news"], "newspaper", False),
        ([], "None. news is not for this.", True),
        ([], "No tool fits.", True),
        ([], "news; none of the others.", False),
        (["news", "Chart"], "Chart and news (not ChartTool)", True),
        (["news", "Chart"], "Chart", False),
    ],
)
def test_selection(right, text, fits):
    assert score_selection(task(right, candidates=NAMES), Output(text)).correct is fits


@pytest.mark.parametrize(
    "text, answer",
    [
        ("Paris", "Paris"),
        ("I think.\nAnswer: Rome\nIndeed.", "Rome"),
        ("**Answer:** Rome", "Rome"),
        ("<think>Answer: Oslo</think>Bern", "Bern"),
        ("<answer>a</answer> <answer> b </answer>", "b"),
    ],
)
def test_where_the_short_answer_stands(text, answer):
    assert short_answer(text) == answer


def test_em_f1_and_calls():
    benchmark = short_answer_benchmark("bamboogle")
    tasks = [Task(str(i), (), answer=["The Red Fox", "fox"]) for i in range(4)]
    texts = [("red fox!", 1), ("Answer: fox", 0), ("a red dog", 3), ("cat", 1)]
    outputs = {str(i): Output(text, tool_calls=calls) for i, (text, calls) in enumerate(texts)}
    found = {m.name: m for m in benchmark.measures(score_outputs(benchmark, tasks, outputs))}
    values = {name: measure.value for name, measure in found.items()}
    # "a red dog" shares one of two words with "red fox": F1 = 1/2
    assert values == pytest.approx({"EM": 0.5, "F1": 2.5 / 4, "TC": 5 / 4, "TP": 2 / 5})
    # Wilson: 2 of 4, z = 1.959964: 1/2 ± z·sqrt(1/16 + z²/64) / (1 + z²/4)
    assert found["EM"].interval == pytest.approx((0.1500390, 0.8499610), abs=1e-6)
    outputs["0"] = Output("red fox")
    assert {m.name for m in benchmark.measures(score_outputs(benchmark, tasks, outputs))} == {"EM", "F1"}
    assert score_short_answer(tasks[0], Output("FOX")).correct


def test_tool_productivity_without_calls_is_undefined():
    benchmark = short_answer_benchmark("nq-open")
    items = score_outputs(benchmark, [task("a")], {"t": Output("a", tool_calls=0)})
    assert {m.name: m.value for m in benchmark.measures(items)}["TP"] is None


@pytest.mark.parametrize(
    "answer, text, right",
    [
        ("18", "So 18 eggs.", True),
        ("18", "First 18, then \\boxed{19}.", False),
        ("1000", "It costs $1,000.", True),
        ("\\frac{1}{2}", "It is $\\boxed{0.5}$.", True),
        ("p - q", "Hence $\\boxed{-q + p}$.", True),
        ("(3, \\frac{\\pi}{2})", "\\boxed{\\left(3,\\frac{\\pi}{2}\\right)}", True),
        ("x^2+1", "$x^2 - 1$", False),
        ("7", "no number", False),
    ],
)
def test_mathematics(answer, text, right):
    pytest.importorskip("math_verify", reason="math-verify is not installed (extra math)")
    assert score_mathematics(task(answer), Output(text)).correct is right


def test_outputs_and_items_must_belong_together():
    benchmark = api_bank_benchmark()
    tasks = [Task(name, (), answer="[Now()]") for name in "ab"]
    with pytest.raises(ToolwiseError, match="no output, for instance 'b'"):
        score_outputs(benchmark, tasks, {"a": Output()})
    with pytest.raises(ToolwiseError, match="belong to no item, for instance 'c'"):
        score_outputs(benchmark, tasks, {"a": Output(), "b": Output(), "c": Output()})
    (only,) = score_outputs(benchmark, tasks, {"a": Output("[Now()]")}, partial=True)
    assert only.score.correct
    with pytest.raises(ToolwiseError, match="2 of 2"):
        score_outputs(benchmark, tasks, {}, partial=True)


def test_means_of_bfcl():
    shares = {
        "simple_python": (3, 4),
        "simple_java": (1, 2),
        "simple_javascript": (0, 1),
        "multiple": (1, 2),
        "parallel": (1, 1),
        "parallel_multiple": (0, 2),
        "live_simple": (1, 4),
        "live_multiple": (3, 4),
        "live_parallel": (1, 1),
        "live_parallel_multiple": (0, 1),
        "irrelevance": (1, 2),
        "live_irrelevance": (1, 1),
    }
    items = [
        ScoredItem(Task(f"{name}-{i}", (), info={"category": name}), Output(), ItemScore(i < right))
        for name, (right, total) in shares.items()
        for i in range(total)
    ]
    found = {measure.name: measure.value for measure in bfcl_measures(items)}
    simple = (3 / 4 + 1 / 2 + 0) / 3
    assert found["mean non-live"] == pytest.approx((simple + 1 / 2 + 1 + 0) / 4)
    assert found["mean live"] == pytest.approx(5 / 10)
    assert found["mean irrelevance"] == pytest.approx(3 / 4)
    assert "mean multi-turn" not in found
    assert found["… live_multiple"] == 0.75
    assert "mean live" not in {m.name for m in bfcl_measures(items[:9])}
    assert len(measures_table({"model": bfcl_measures(items)}, "bfcl").rows) == 1 + 12 + 3


@pytest.mark.data
def test_labelled_solutions_of_gsm8k(shared_dir):
    """Solutions of four models, labelled right or wrong by the authors of the data set."""
    pytest.importorskip("math_verify", reason="math-verify is not installed (extra math)")
    path = shared_dir / "data" / "gsm8k" / "example_model_solutions.jsonl"
    if not path.is_file():
        pytest.skip("GSM8K is not among the data")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][:60]
    labels = set()
    for row in rows:
        item = task(row["ground_truth"].rpartition("A:")[2].strip())
        for solved in (value for value in row.values() if isinstance(value, dict)):
            assert score_mathematics(item, Output(solved["solution"])).correct is solved["is_correct"]
            labels.add(solved["is_correct"])
    assert labels == {True, False}


@pytest.mark.data
def test_the_answers_of_math500_equal_themselves(shared_dir):
    pytest.importorskip("math_verify", reason="math-verify is not installed (extra math)")
    path = shared_dir / "data" / "math500" / "test.jsonl"
    if not path.is_file():
        pytest.skip("MATH-500 is not among the data")
    answers = [json.loads(line)["answer"] for line in path.read_text(encoding="utf-8").splitlines()][:80]
    wrong = [a for a in answers if not score_mathematics(task(a), Output(f"So \\boxed{{{a}}}.")).correct]
    assert wrong == []
