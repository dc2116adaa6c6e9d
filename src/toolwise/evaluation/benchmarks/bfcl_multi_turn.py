"""BFCL's items with several user turns: the calls are run, and states and responses compared turn by turn."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection

from toolwise.core import Task, ToolwiseError
from toolwise.evaluation.benchmarks.bfcl_backend import Backend, Call, Worker, check_tools, tell
from toolwise.evaluation.benchmarks.bfcl_check import Fault
from toolwise.evaluation.benchmarks.output import Output


def check_turns(task: Task, output: Output, seconds: float = 60.0) -> Fault | None:
    """Whether the model did in each turn what the reference does (state and response checks of BFCL).

    After each turn the instances must be in the state of the reference's; and what the reference's calls of
    the turn gave back must be among what all calls of the model so far gave back. A turn in which the
    reference calls nothing is not checked, but its calls are run. All of it runs in a process of its own.

    Args:
        task: ``answer`` holds for each turn the calls of the reference, as Python.
        output: `Output.turns`: for each turn the steps of the model.
        seconds: Time limit; what takes longer is wrong.

    Raises:
        ToolwiseError: The package bfcl-eval is missing, or a call of the reference cannot be read.
    """
    expected = [[_read_call(text, task) for text in turn] for turn in task.answer]
    written = [
        [(call.name, (), dict(call.arguments)) for step in steps for call in step.readable_calls or ()]
        for steps in output.turns or ()
    ]
    if len(written) != len(expected):
        return Fault("wrong_turns", f"{len(written)} turns instead of {len(expected)}")
    check_tools(task)
    # The model chooses the arguments, and some tools compute with them for as long as it takes.
    process = Worker(_report, task, written, expected)
    try:
        found = process.answer(seconds)
    except TimeoutError:
        return Fault("timeout", f"the calls took longer than {seconds:g} s")
    except EOFError:
        return Fault("crash", "the process that ran the calls has ended")
    finally:
        process.close()
    return None if found is None else Fault(*found)


def _report(
    pipe: Connection, task: Task, written: Sequence[Sequence[Call]], expected: Sequence[Sequence[Call]]
) -> None:
    fault = _compare(Backend(task), Backend(task), written, expected)
    tell(pipe, None if fault is None else [fault.kind, fault.detail])


def _compare(
    model: Backend,
    reference: Backend,
    written: Sequence[Sequence[Call]],
    expected: Sequence[Sequence[Call]],
) -> Fault | None:
    responses: list[str] = []
    for number, (calls, wanted) in enumerate(zip(written, expected, strict=True), start=1):
        responses += [model.run(call) for call in calls]
        should = [reference.run(call) for call in wanted]
        if not wanted:
            continue
        if not calls:
            return Fault("empty_turn", f"no call in turn {number}")
        if difference := _difference(model, reference):
            return Fault("wrong_state", f"after turn {number}: {difference}")
        if missing := _missing(should, responses):
            return Fault("wrong_response", f"turn {number} lacks {missing[0][:200]}")
    return None


def _read_call(text: str, task: Task) -> Call:
    try:
        node = ast.parse(text, mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise ValueError("is no call of a function")
        positional = [ast.literal_eval(argument) for argument in node.args]
        named = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in node.keywords}
    except (ValueError, SyntaxError) as error:
        raise ToolwiseError(
            f"the reference call {text!r} cannot be read: {error}",
            where=f"item '{task.id}'",
            mend="get the benchmark's files again",
        ) from error
    return node.func.id, positional, named


def _difference(model: Backend, reference: Backend) -> str:
    ours, theirs = model.state(), reference.state()
    for name, expected in theirs.items():
        for key, value in expected.items():
            if ours[name].get(key) != value:
                return f"{name}.{key}"
    return ""


def _missing(wanted: Iterable[str], given: Sequence[str]) -> list[str]:
    left = list(given)
    missing = []
    for response in wanted:
        if response in left:
            left.remove(response)
        else:
            missing.append(response)
    return missing
