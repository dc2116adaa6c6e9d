"""Session: what tools remember during one rollout."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol, Self, TypeVar

from toolwise.core import Task, ToolwiseError


class Resource(Protocol):
    """What a tool holds open during a rollout: a connection, a process."""

    async def close(self) -> None:
        """Let go of it; called once, when the rollout ends."""
        ...

    def fork(self) -> Self:
        """One of its own for a branch of the rollout, in the same condition.

        Raises:
            ToolwiseError: Its condition cannot be copied.
        """
        ...


Held = TypeVar("Held", bound=Resource)


class Session:
    """Lives as long as a rollout: the task, and what each tool keeps between its calls.

    Args:
        task: The problem of this rollout; a tool may read its ``info`` (the model never does).

    Attributes:
        task: The problem.
        state: One dict for each tool that keeps something, by the tool's name.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.state: dict[str, dict[str, Any]] = {}
        self._resources: dict[str, Resource] = {}

    def state_of(self, tool: str) -> dict[str, Any]:
        """What `tool` keeps; an empty dict at first."""
        return self.state.setdefault(tool, {})

    def held(self, name: str, make: Callable[[], Held]) -> Held:
        """What is held open under this name; made the first time, closed when the rollout ends.

        Args:
            name: Of the resource; several tools may share one.
            make: Gives it; opening takes place when it is used, so this neither waits nor fails.
        """
        if name not in self._resources:
            self._resources[name] = make()
        return self._resources[name]  # type: ignore[return-value]

    def fork(self) -> Session:
        """A session for a branch of the rollout: the same task, a deep copy of the state.

        Raises:
            ToolwiseError: A tool keeps or holds something that cannot be copied.
        """
        branch = Session(self.task)
        for tool, state in self.state.items():
            try:
                branch.state[tool] = copy.deepcopy(state)
            except (TypeError, NotImplementedError) as error:
                raise ToolwiseError(
                    f"the state of tool '{tool}' cannot be copied for a branch: {error}",
                    mend="keep plain data in session.state_of(…), and connections in session.held(…)",
                ) from error
        for name, resource in self._resources.items():
            branch._resources[name] = resource.fork()
        return branch

    async def close(self) -> None:
        """Forget everything and close what is held, the last one first; safe to call twice.

        Raises:
            Exception: What a resource raised, after all of them had their turn.
        """
        self.state.clear()
        resources, self._resources = self._resources, {}
        async with AsyncExitStack() as stack:
            for resource in resources.values():
                stack.push_async_callback(resource.close)
