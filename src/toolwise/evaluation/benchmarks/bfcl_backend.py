"""The tools of BFCL's items with several user turns: classes of bfcl-eval, in a process of their own.

The package's own executor evaluates what the model wrote as Python; here a call is read, its arguments are
values, and only public methods of the item's classes run.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from toolwise.core import Task, ToolwiseError

_CONFIG = "bfcl_eval.constants.executable_backend_config"
_TOOL_CLASSES = (
    *("GorillaFileSystem", "MathAPI", "MessageAPI", "TwitterAPI"),
    *("TicketAPI", "TradingBot", "TravelAPI", "VehicleControlAPI"),
)
"""The classes of the multi-turn categories; they act on nothing but themselves."""

Call = tuple[str, Sequence[Any], Mapping[str, Any]]
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
            kind, stateless = tool_class(name, task)
            instance = kind()
            if not stateless:
                settings = copy.deepcopy(task.info["initial_config"].get(name, {}))
                instance._load_scenario(settings, long_context=long_context)
            self.instances[name] = instance
            for method_name, method in inspect.getmembers(instance, predicate=inspect.ismethod):
                if not method_name.startswith("_"):
                    self._methods[method_name] = method

    def run(self, call: Call) -> str:
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


class BackendProcess:
    """The tools of one item, alive from call to call; no call outlives its time.

    Use it as a context manager, or close it.

    Args:
        task: See `Backend`.

    Raises:
        ToolwiseError: The package bfcl-eval or one of its classes is missing.
    """

    def __init__(self, task: Task) -> None:
        check_tools(task)
        self._process = Worker(_serve, task)

    def run(self, calls: Sequence[Call], seconds: float = 60.0) -> list[str] | None:
        """Run the calls of one step, in order; None if they took longer, or ended the process."""
        try:
            found: list[str] = self._process.ask([[name, list(p), dict(n)] for name, p, n in calls], seconds)
        except (TimeoutError, EOFError, OSError):
            self.close()
            return None
        return found

    def close(self) -> None:
        """End the process; safe to call twice."""
        self._process.close()

    def __enter__(self) -> BackendProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Worker:
    """A process of our own that speaks JSON over a pipe, for work whose arguments a model has chosen.

    Args:
        serve: Runs there, with the process's end of the pipe and `arguments`.
        arguments: Of `serve`.
    """

    def __init__(self, serve: Callable[..., None], *arguments: Any) -> None:
        methods = multiprocessing.get_all_start_methods()
        # What is imported here need not be imported there again, for every item.
        context: Any = multiprocessing.get_context("fork" if "fork" in methods else None)
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=serve, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def answer(self, seconds: float) -> Any:
        """What the process says next.

        Raises:
            TimeoutError: It says nothing for so long.
            EOFError: It has ended.
        """
        if not self._pipe.poll(seconds):
            raise TimeoutError
        return json.loads(self._pipe.recv_bytes())

    def ask(self, question: Any, seconds: float) -> Any:
        """What the process says to `question`; errors are those of `answer`."""
        self._pipe.send_bytes(json.dumps(question).encode())
        return self.answer(seconds)

    def close(self) -> None:
        """Kill the process; safe to call twice."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def tell(pipe: Connection, answer: Any) -> None:
    """Say something to the other side of a `Worker`."""
    pipe.send_bytes(json.dumps(answer).encode())


def _serve(pipe: Connection, task: Task) -> None:
    backend = Backend(task)
    while True:
        calls = json.loads(pipe.recv_bytes())
        tell(pipe, [backend.run((name, positional, named)) for name, positional, named in calls])


def check_tools(task: Task) -> None:
    """Refuse an item whose classes are not at hand.

    Raises:
        ToolwiseError: The package bfcl-eval or one of its classes is missing.
    """
    for name in task.info["involved_classes"]:
        tool_class(name, task)


def tool_class(name: str, task: Task) -> tuple[Any, bool]:
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
