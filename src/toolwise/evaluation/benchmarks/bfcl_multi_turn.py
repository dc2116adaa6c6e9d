"""BFCL's items with several user turns: the calls are run, and states and responses compared turn by turn.

The classes behind the tools come from the package bfcl-eval. Its own executor evaluates what the model wrote
as Python; here a call is read, its arguments are values, and only public methods of the item's classes run.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import json
import multiprocessing
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from toolwise.core import Task, ToolwiseError
from toolwise.evaluation.benchmarks.bfcl_check import Fault
from toolwise.evaluation.benchmarks.output import Output

_CONFIG = "bfcl_eval.constants.executable_backend_config"
_TOOL_CLASSES = (
    *("GorillaFileSystem", "MathAPI", "MessageAPI", "TwitterAPI"),
    *("TicketAPI", "TradingBot", "TravelAPI", "VehicleControlAPI"),
)
"""The classes of the multi-turn categories; they act on nothing but themselves."""

_Call = tuple[str, Sequence[Any], Mapping[str, Any]]
"""Name, positional and named arguments."""


class Backend:
    """The instances behind the tools of one item, in their first state.

    Args:
        task: Its ``info`` holds ``involved_classes``, ``initial_config`` and ``category``.

    Raises:
        ToolwiseError: The package bfcl-eval or one of its classes is missing.
    """

    def __init__(self, task: Task) -> None:
        self.instances: dict[str, Any] = {}
        self._methods: dict[str, Any] = {}
        long_context = "long_context" in task.info["category"]
        for name in task.info["involved_classes"]:
            kind, stateless = _tool_class(name, task)
            instance = kind()
            if not stateless:
                settings = copy.deepcopy(task.info["initial_config"].get(name, {}))
                instance._load_scenario(settings, long_context=long_context)
            self.instances[name] = instance
            for method_name, method in inspect.getmembers(instance, predicate=inspect.ismethod):
                if not method_name.startswith("_"):
                    self._methods[method_name] = method

    def run(self, call: _Call) -> str:
        """Run one call; a failure is a text, too."""
        name, positional, named = call
        method = self._methods.get(name)
        if method is None:
            return f"Error during execution: name '{name}' is not defined"
        try:
            result = method(*positional, **named)
        except Exception as error:  # whatever a tool makes of the model's arguments
            return f"Error during execution: {error}"
        if isinstance(result, dict):
            try:
                return json.dumps(result)
            except (TypeError, ValueError):
                return str(result)
        return result if isinstance(result, str) else str(result)

    def state(self) -> dict[str, dict[str, Any]]:
        """The public attributes of each instance."""
        return {
            name: {key: value for key, value in vars(instance).items() if not key.startswith("_")}
            for name, instance in self.instances.items()
        }


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
    for name in task.info["involved_classes"]:
        _tool_class(name, task)
    # The model chooses the arguments, and some tools compute with them for as long as it takes.
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("fork" if "fork" in methods else None)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(sender, task, written, expected), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            return Fault("timeout", f"the calls took longer than {seconds:g} s")
        found: Fault | None = receiver.recv()
        return found
    except EOFError:
        return Fault("crash", "the process that ran the calls has ended")
    finally:
        process.kill()
        process.join()
        receiver.close()


def _report(
    sender: Connection, task: Task, written: Sequence[Sequence[_Call]], expected: Sequence[Sequence[_Call]]
) -> None:
    sender.send(_compare(Backend(task), Backend(task), written, expected))


def _compare(
    model: Backend,
    reference: Backend,
    written: Sequence[Sequence[_Call]],
    expected: Sequence[Sequence[_Call]],
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


def _read_call(text: str, task: Task) -> _Call:
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


def _tool_class(name: str, task: Task) -> tuple[Any, bool]:
    """A class of bfcl-eval, and whether it has no state of its own."""
    where = f"item '{task.id}'"
    if name not in _TOOL_CLASSES:
        raise ToolwiseError(f"the class '{name}' is not known", where=where, mend="get BFCL's files again")
    try:
        config = importlib.import_module(_CONFIG)
        module = importlib.import_module(config.CLASS_FILE_PATH_MAPPING[name])
    except ImportError as error:
        raise ToolwiseError(
            f"items with several turns need the package bfcl-eval ({error})",
            where=where,
            mend="pip install --no-deps bfcl-eval (its own pins go far beyond what is needed here)",
        ) from error
    return getattr(module, name), name in config.STATELESS_CLASSES
