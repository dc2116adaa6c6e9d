"""API-Bank (Li et al. 2023): the request to write, compared with the expected one.

API-Bank's own program runs both requests on its APIs and compares what they give. Those APIs are not part of
its data, so requests are compared as they stand: name, arguments and their values as text. That is stricter
where different words lead to the same result, above all in the keywords of ``ToolSearcher``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolwise.core import Task, ToolwiseError
from toolwise.evaluation.benchmarks.benchmark import (
    Benchmark,
    ItemScore,
    Measure,
    ScoredItem,
    accuracies,
    share,
)
from toolwise.evaluation.benchmarks.calls import CALL, CALL_END, argument_texts
from toolwise.evaluation.benchmarks.output import Output

_REQUEST = re.compile(r"\[(\w+)\((.*)\)\]", re.DOTALL)


def api_bank_benchmark() -> Benchmark:
    """Requests of API-Bank's levels 1 to 3."""
    return Benchmark("api-bank", score_request, _request_measures, tools="own")


def api_bank_toolrl_benchmark() -> Benchmark:
    """API-Bank as ToolRL evaluates on it (arXiv 2504.13958, §4)."""
    return Benchmark("api-bank-toolrl", score_toolrl, accuracies, tools="own")


def read_request(text: str) -> tuple[str, dict[str, str]] | None:
    """Name and arguments of the first ``[Api(key='value', …)]`` of a text; values as text.

    Returns:
        None if there is none.
    """
    found = _REQUEST.search(text)
    return (found[1], argument_texts(found[2])) if found else None


def score_request(task: Task, output: Output) -> ItemScore:
    """Right if the request has the expected name, arguments and values; its part ``api`` tells of the name.

    A call that came apart from the text, or in ``<tool_call>`` tags, is the request if it is the only one.

    Raises:
        ToolwiseError: The item's own request cannot be read.
    """
    expected = read_request(str(task.answer))
    if expected is None:
        raise ToolwiseError(
            f"the expected request {task.answer!r} cannot be read",
            where=f"item '{task.id}'",
            mend="get the file again",
        )
    written = _written(output)
    if written is None:
        return ItemScore(False, {"api": 0.0}, "no_call")
    if written[0] != expected[0]:
        return ItemScore(False, {"api": 0.0}, "wrong_name", f"{written[0]} instead of {expected[0]}")
    if written[1] != expected[1]:
        return ItemScore(False, {"api": 1.0}, "wrong_arguments")
    return ItemScore(True, {"api": 1.0})


def _written(output: Output) -> tuple[str, dict[str, str]] | None:
    if output.given_calls is None and CALL not in output.text:
        return read_request(output.text)
    calls = output.readable_calls
    if calls is None or len(calls) != 1:
        return None
    return calls[0].name, {key: _as_text(value) for key, value in calls[0].arguments.items()}


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _request_measures(items: Sequence[ScoredItem]) -> list[Measure]:
    return [*accuracies(items), share("right API", [item.score.parts["api"] > 0 for item in items])]


def score_toolrl(task: Task, output: Output) -> ItemScore:
    """Right if any call of the last block equals the expected one, name and parameters.

    A line that cannot be read is skipped; an object that lacks ``name`` or ``parameters`` is taken as the
    parameters of a call with the right name. Equality is that of parsed JSON.
    """
    if output.given_calls is not None:
        found: list[Any] = [
            {"name": call.name, "parameters": dict(call.arguments)}
            for call in output.given_calls
            if call.error is None
        ]
    else:
        found = _last_block(output.text)
    if not found:
        return ItemScore(False, {}, "no_call")
    name = task.answer["name"]
    calls = [
        each if "name" in each and "parameters" in each else {"name": name, "parameters": each}
        for each in found
        if isinstance(each, Mapping)
    ]
    if any(call["name"] == name and call["parameters"] == task.answer["parameters"] for call in calls):
        return ItemScore(True)
    named = any(call["name"] == name for call in calls)
    return ItemScore(False, {}, "wrong_arguments" if named else "wrong_name")


def _last_block(text: str) -> list[Any]:
    _, tag, rest = text.rpartition(CALL)
    values = []
    for line in rest.partition(CALL_END)[0].strip().split("\n") if tag else ():
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return values
