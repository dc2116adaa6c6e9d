"""RolloutTree: everything that was tried for one task, as turns with parents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from toolwise.core.task import Task
from toolwise.core.turn import Turn


class StopReason(StrEnum):
    """Why a rollout ended. Everything but ``answered`` and ``demonstration`` means that it was cut."""

    ANSWERED = "answered"
    MAX_TURNS = "max_turns"
    MAX_TOKENS = "max_tokens"
    CONTEXT = "context"
    DEADLINE = "deadline"
    DEMONSTRATION = "demonstration"


@dataclass(frozen=True, slots=True)
class RolloutEnd:
    """Where one rollout ends in the tree.

    Attributes:
        leaf: Index of its last turn.
        sample: Its number among the samples of the task; seeds derive from it.
        group: Key of the group it is compared with (a string, not a position).
        stop: Why it ended.
    """

    leaf: int
    sample: int
    group: str
    stop: StopReason


@dataclass(frozen=True, slots=True)
class Rollout:
    """One root-to-leaf path of a tree.

    Attributes:
        task: The problem.
        turns: Its turns, prompt first.
        path: The index in the tree of each turn.
        sample: See `RolloutEnd`.
        group: See `RolloutEnd`.
        stop: See `RolloutEnd`.
    """

    task: Task
    turns: tuple[Turn, ...]
    path: tuple[int, ...]
    sample: int
    group: str
    stop: StopReason

    @property
    def completion(self) -> str:
        """Text of everything after the prompt, tool results included."""
        return "".join(turn.text for turn in self.turns[1:])

    @property
    def answer(self) -> str | None:
        """The final answer, None if the rollout gave none."""
        return self.turns[-1].answer

    @property
    def calls(self) -> int:
        """Number of tool calls that the policy wrote, broken ones included."""
        return sum(len(turn.calls) for turn in self.turns if turn.role == "assistant")

    @property
    def token_ids(self) -> tuple[int, ...]:
        """All tokens along the path, shape (L,)."""
        return tuple(token for turn in self.turns for token in turn.token_ids)


@dataclass(frozen=True, slots=True)
class RolloutTree:
    """Turns with parents. A group of G samples forks once, at the prompt; a demonstration never forks.

    Attributes:
        task: The problem.
        turns: All turns; a parent stands before its children; turn 0 is the prompt.
        parents: Index of each turn's parent, −1 for the root.
        ends: Where the rollouts end.
    """

    task: Task
    turns: tuple[Turn, ...]
    parents: tuple[int, ...]
    ends: tuple[RolloutEnd, ...]

    def __post_init__(self) -> None:
        """Check that parents stand before their children and that ends exist."""
        if len(self.turns) != len(self.parents):
            raise ValueError(f"{len(self.parents)} parents for {len(self.turns)} turns")
        for index, parent in enumerate(self.parents):
            if not (-1 <= parent < index) or (parent == -1) != (index == 0):
                raise ValueError(f"turn {index} has parent {parent}; only turn 0 is a root")
        for end in self.ends:
            if not 0 <= end.leaf < len(self.turns):
                raise ValueError(f"a rollout ends at turn {end.leaf}, which does not exist")

    @classmethod
    def from_paths(
        cls, task: Task, prompt: Turn, paths: Sequence[Sequence[Turn]], ends: Sequence[RolloutEnd]
    ) -> RolloutTree:
        """A tree that forks once, at the prompt; ``ends[i].leaf`` is filled in.

        Args:
            task: The problem.
            prompt: The shared first turn.
            paths: The turns of each rollout after the prompt.
            ends: One for each path.
        """
        turns, parents, placed = [prompt], [-1], []
        for path, end in zip(paths, ends, strict=True):
            parent = 0
            for turn in path:
                turns.append(turn)
                parents.append(parent)
                parent = len(turns) - 1
            placed.append(RolloutEnd(parent, end.sample, end.group, end.stop))
        return cls(task, tuple(turns), tuple(parents), tuple(placed))

    @classmethod
    def demonstration(cls, task: Task, turns: Sequence[Turn]) -> RolloutTree:
        """A tree with one path: supervised fine-tuning enters here."""
        end = RolloutEnd(0, 0, task.id, StopReason.DEMONSTRATION)
        return cls.from_paths(task, turns[0], [turns[1:]], [end])

    def path(self, leaf: int) -> tuple[int, ...]:
        """Indices of the turns from the root to `leaf`."""
        nodes = []
        while leaf != -1:
            nodes.append(leaf)
            leaf = self.parents[leaf]
        return tuple(reversed(nodes))

    def rollouts(self) -> list[Rollout]:
        """The root-to-leaf paths, in the order of ``ends``."""
        found = []
        for end in self.ends:
            path = self.path(end.leaf)
            turns = tuple(self.turns[node] for node in path)
            found.append(Rollout(self.task, turns, path, end.sample, end.group, end.stop))
        return found

    def to_record(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return {
            "task": self.task.to_record(),
            "turns": [
                turn.to_record() | {"parent": parent}
                for turn, parent in zip(self.turns, self.parents, strict=True)
            ],
            "ends": [
                {"leaf": end.leaf, "sample": end.sample, "group": end.group, "stop": str(end.stop)}
                for end in self.ends
            ],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RolloutTree:
        """Inverse of `to_record`."""
        return cls(
            task=Task.from_record(record["task"]),
            turns=tuple(Turn.from_record(turn) for turn in record["turns"]),
            parents=tuple(turn["parent"] for turn in record["turns"]),
            ends=tuple(
                RolloutEnd(end["leaf"], end["sample"], end["group"], StopReason(end["stop"]))
                for end in record["ends"]
            ),
        )
