"""Questions with short answers: EM and F1, and what they cost in tool calls (OTC, arXiv 2504.14870)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolwise.core import Task
from toolwise.evaluation.benchmarks.benchmark import (
    Benchmark,
    ItemScore,
    Measure,
    ScoredItem,
    accuracies,
    ratio,
)
from toolwise.evaluation.benchmarks.calls import THINK_END
from toolwise.evaluation.benchmarks.output import Output
from toolwise.rewards import exact_match, f1_score, reference_answers

_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_MARKED = re.compile(r"answer\s*:", re.IGNORECASE)


def short_answer_benchmark(name: str) -> Benchmark:
    """A set of questions with short answers, under its name."""
    return Benchmark(name, score_short_answer, short_answer_measures, tools="recipe")


def short_answer(text: str) -> str:
    """The answer in a text.

    What stands in the last ``<answer>`` tags, else on the line after the last ``Answer:``, else the whole
    text. What stands before ``</think>`` is not looked at.
    """
    text = text.rpartition(THINK_END)[2]
    if tagged := _TAGGED.findall(text):
        return str(tagged[-1]).strip()
    marks = list(_MARKED.finditer(text))
    if marks:
        rest = text[marks[-1].end() :].strip(" \n\t*")
        return rest.partition("\n")[0].strip(" \t*")
    return text.strip()


def score_short_answer(task: Task, output: Output) -> ItemScore:
    """Right if the answer equals an alias after normalisation (SQuAD's EM); its part ``f1`` is the token F1.

    Raises:
        ToolwiseError: The item has no answer.
    """
    answer, golds = short_answer(output.text), reference_answers(task)
    right = exact_match(answer, golds)
    return ItemScore(right, {"f1": f1_score(answer, golds)}, "" if right else "wrong_answer")


def short_answer_measures(items: Sequence[ScoredItem]) -> list[Measure]:
    """EM, overall and by category, F1, and `call_measures`."""
    scores = [
        Measure(m.name.replace("accuracy", "EM"), m.value, m.interval, m.items) for m in accuracies(items)
    ]
    f1 = ratio("F1", [item.score.parts["f1"] for item in items], [1.0] * len(items), "%")
    return [*scores, f1, *call_measures(items)]


def call_measures(items: Sequence[ScoredItem]) -> list[Measure]:
    """TC, mean tool calls a question, and TP = Σ correct / Σ calls, undefined where no call was made.

    Returns:
        Nothing if an output does not say how many calls were made.
    """
    counts = [item.output.tool_calls for item in items]
    calls = [float(count) for count in counts if count is not None]
    if len(calls) < len(items):
        return []
    correct = [float(item.score.correct) for item in items]
    return [ratio("TC", calls, [1.0] * len(calls)), ratio("TP", correct, calls)]
