"""Session: what tools remember during one rollout."""

from __future__ import annotations

import copy
from typing import Any

from toolwise.core import Task, ToolwiseError


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

    def state_of(self, tool: str) -> dict[str, Any]:
        """What `tool` keeps; an empty dict at first."""
        return self.state.setdefault(tool, {})

    def fork(self) -> Session:
        """A session for a branch of the rollout: the same task, a deep copy of the state.

        Raises:
            ToolwiseError: A tool keeps something that cannot be copied.
        """
        branch = Session(self.task)
        for tool, state in self.state.items():
            try:
                branch.state[tool] = copy.deepcopy(state)
            except (TypeError, NotImplementedError) as error:
                raise ToolwiseError(
                    f"the state of tool '{tool}' cannot be copied for a branch: {error}",
                    mend="keep plain data in session.state_of(…), and connections outside of the session",
                ) from error
        return branch

    async def close(self) -> None:
        """Forget everything; safe to call twice."""
        self.state.clear()
