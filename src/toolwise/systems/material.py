"""Tasks and demonstrations of a recipe, split into what is trained on and what is kept back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from toolwise.core import RolloutEnd, RolloutTree, StopReason, Task, ToolwiseError, seed_for
from toolwise.data import (
    Demonstration,
    Preference,
    TaskFormat,
    read_demonstrations,
    read_preferences,
    read_tasks,
)
from toolwise.rollout import demonstration_trees
from toolwise.systems.fresh import conversation_texts
from toolwise.systems.policy import Policy
from toolwise.systems.recipe import DataFile, HeldOut

_LISTED = 10


class _Named(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=_Named)


def split_tasks(data: DataFile, held_out: HeldOut) -> tuple[list[Task], list[Task]]:
    """Training and validation tasks.

    Raises:
        ToolwiseError: No file is given, or a file cannot be used.
    """
    return _split(read_tasks, data, held_out, "tasks")


def split_demonstrations(
    data: DataFile, held_out: HeldOut
) -> tuple[list[Demonstration], list[Demonstration]]:
    """Training and validation demonstrations; errors as in `split_tasks`."""
    return _split(read_demonstrations, data, held_out, "demonstrations")


def split_preferences(data: DataFile, held_out: HeldOut) -> tuple[list[Preference], list[Preference]]:
    """Training and validation preferences; errors as in `split_tasks`."""

    def read(path: Path, format: TaskFormat | None) -> list[Preference]:
        if format is not None:
            raise ToolwiseError(
                f"the format '{format}' has no pairs of answers",
                where=str(path),
                mend="give rows with prompt, chosen and rejected",
            )
        return read_preferences(path)

    return _split(read, data, held_out, "preferences")


def refuse_tasks(data: DataFile, tasks: Sequence[Task], *checks: Callable[[Task], None]) -> None:
    """Run checks over all tasks before anything costly begins.

    Args:
        data: Where they come from.
        tasks: All of them.
        *checks: Each raises ToolwiseError for a task that cannot be used.

    Raises:
        ToolwiseError: One for all tasks that cannot be used; counts them and names the first ones.
    """
    problems = []
    for task in tasks:
        try:
            for check in checks:
                check(task)
        except ToolwiseError as error:
            where = f"{error.where}: " if error.where else ""
            problems.append(f"  {where}{error.problem} → {error.mend}")
    if problems:
        listed = problems[:_LISTED]
        if len(problems) > _LISTED:
            listed.append(f"  … and {len(problems) - _LISTED} more")
        raise ToolwiseError(
            "\n".join([f"{len(problems)} of {len(tasks)} tasks cannot be used", *listed]),
            where=str(data.path),
            mend="mend or remove these tasks",
        )


def demonstration_material(policy: Policy, demonstrations: Sequence[Demonstration]) -> list[RolloutTree]:
    """The trees of all demonstrations.

    Raises:
        ToolwiseError: One cannot be rendered; names it.
    """
    trees = []
    for demonstration in demonstrations:
        try:
            specs = policy.toolbox.specs(demonstration.tools)
            trees += demonstration_trees(
                demonstration.id, demonstration.messages, specs, policy.dialect, demonstration.part
            )
        except ToolwiseError as error:
            where = f"demonstration '{demonstration.id}'"
            raise ToolwiseError(error.problem, where=error.where or where, mend=error.mend) from error
    return trees


def preference_material(policy: Policy, preferences: Sequence[Preference]) -> list[RolloutTree]:
    """A tree for each pair, forking at the prompt: the chosen answer, then the rejected one.

    Raises:
        ToolwiseError: One cannot be rendered; names it.
    """
    trees = []
    for pair in preferences:
        rendered = [
            # The last stretch is the answer: a prompt does not end with an assistant turn.
            demonstration_material(policy, [Demonstration(pair.id, (*pair.prompt, *answer), pair.tools)])[-1]
            for answer in (pair.chosen, pair.rejected)
        ]
        ends = [RolloutEnd(0, place, pair.id, StopReason.DEMONSTRATION) for place in range(2)]
        chosen = rendered[0]
        paths = [tree.turns[1:] for tree in rendered]
        trees.append(RolloutTree.from_paths(chosen.task, chosen.turns[0], paths, ends))
    return trees


def preference_texts(preferences: Sequence[Preference]) -> Iterator[str]:
    """The texts that a tokenizer for these preferences should know."""
    for pair in preferences:
        yield from conversation_texts((*pair.prompt, *pair.chosen, *pair.rejected), pair.tools)


def task_texts(tasks: Sequence[Task]) -> Iterator[str]:
    """The texts that a tokenizer for these tasks should know."""
    for task in tasks:
        yield from conversation_texts(task.prompt, task.tools, task.answer)


def demonstration_texts(demonstrations: Sequence[Demonstration]) -> Iterator[str]:
    """The texts that a tokenizer for these demonstrations should know."""
    for demonstration in demonstrations:
        yield from conversation_texts(demonstration.messages, demonstration.tools)


def _split(
    read: Callable[[Path, TaskFormat | None], list[Item]], data: DataFile, held_out: HeldOut, key: str
) -> tuple[list[Item], list[Item]]:
    if data.path is None:
        raise ToolwiseError(
            "no file is given", where=f"{key}.path", mend=f"add --tasks FILE (or --set {key}.path=FILE)"
        )
    items = read(data.path, data.format)[: data.limit]
    if held_out.path is not None:
        return items, read(held_out.path, data.format)[: held_out.limit]
    count = round(held_out.share * len(items))
    if held_out.share and not count:
        raise ToolwiseError(
            f"a share of {held_out.share} of {len(items)} rows is less than one row",
            where="validation.share",
            mend="raise it, or set it to 0",
        )
    order = sorted(items, key=lambda item: seed_for("validation", item.id))
    kept_back = {item.id for item in order[:count]}
    validation = [item for item in items if item.id in kept_back][: held_out.limit]
    return [item for item in items if item.id not in kept_back], validation
