"""The least number of tool calls that ever sufficed for a task, carried from step to step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class MinimumCalls:
    """Running minimum of the calls of correct rollouts, keyed by the task's id."""

    def __init__(self) -> None:
        self._minima: dict[str, int] = {}

    def get(self, task: str) -> int | None:
        """The minimum of a task, None as long as nobody was correct."""
        return self._minima.get(task)

    def lower(self, task: str, calls: Iterable[int]) -> int | None:
        """Take in the calls of correct rollouts and return the new minimum."""
        known = self._minima.get(task)
        lowest = min([*calls, *([] if known is None else [known])], default=None)
        if lowest is not None:
            self._minima[task] = lowest
        return lowest

    def state_dict(self) -> dict[str, int]:
        """The minimum of each task that has one."""
        return dict(self._minima)

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Inverse of `state_dict`."""
        self._minima = {task: int(minimum) for task, minimum in state.items()}
