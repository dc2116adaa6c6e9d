"""Benchmark: how the items of a public benchmark are scored and what is reported of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from toolwise.core import Task, ToolwiseError
from toolwise.evaluation.benchmarks.output import Output
from toolwise.evaluation.intervals import Interval, bootstrap_ratio, wilson

Unit = Literal["%", "×"]


@dataclass(frozen=True, slots=True)
class ItemScore:
    """What one output is worth.

    Attributes:
        correct: Is it right?
        parts: Named values, such as ``f1``.
        fault: Why it is wrong, in a word; empty if it is right, or if there is nothing to say.
        detail: The same in a sentence.
    """

    correct: bool
    parts: Mapping[str, float] = field(default_factory=dict)
    fault: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ScoredItem:
    """An item, the model's output for it, and what that is worth."""

    task: Task
    output: Output
    score: ItemScore

    @property
    def category(self) -> str:
        """``info.category`` of the item; empty if it has none."""
        return str(self.task.info.get("category", ""))


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a benchmark.

    Attributes:
        name: What it is called.
        value: The figure; None where it is not defined.
        interval: Its 95% interval.
        items: Number of items behind it.
        unit: A share, shown in percent, or a plain figure.
    """

    name: str
    value: float | None
    interval: Interval | None
    items: int
    unit: Unit = "%"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A public benchmark. An item is a `Task`: its prompt and tools are what the model gets to see.

    Attributes:
        name: On the command line and in results.
        score: What an output for an item is worth.
        measures: What is reported of all items.
        tools: What a model may call: ``own``, the tools that the item shows (never run, as the first turn is
            scored); ``recipe``, those of its recipe, until it answers; ``none``.
    """

    name: str
    score: Callable[[Task, Output], ItemScore]
    measures: Callable[[Sequence[ScoredItem]], list[Measure]]
    tools: Literal["own", "recipe", "none"]


def score_outputs(
    benchmark: Benchmark, tasks: Sequence[Task], outputs: Mapping[str, Output], *, partial: bool = False
) -> list[ScoredItem]:
    """Score outputs by the id of their items.

    Args:
        benchmark: Which one.
        tasks: Its items.
        outputs: By id.
        partial: Leave out items without an output, instead of refusing.

    Returns:
        The scored items, in the order of `tasks`.

    Raises:
        ToolwiseError: An output belongs to no item, an item has no output, or there is nothing to score.
    """
    known = {task.id for task in tasks}
    strange = [identity for identity in outputs if identity not in known]
    if strange:
        raise ToolwiseError(
            f"{len(strange)} of {len(outputs)} outputs belong to no item, for instance '{strange[0]}'",
            where=benchmark.name,
            mend="is it the right benchmark, and all of its data? a limit must not leave items out",
        )
    missing = [task.id for task in tasks if task.id not in outputs]
    if missing and (not partial or len(missing) == len(tasks)):
        raise ToolwiseError(
            f"{len(missing)} of {len(tasks)} items have no output, for instance '{missing[0]}'",
            where=benchmark.name,
            mend="give an output for each item, or score only those that have one (partial)",
        )
    present = [task for task in tasks if task.id in outputs]
    return [ScoredItem(task, outputs[task.id], benchmark.score(task, outputs[task.id])) for task in present]


def share(name: str, hits: Sequence[bool]) -> Measure:
    """A share with Wilson's interval."""
    value = sum(hits) / len(hits) if hits else None
    return Measure(name, value, wilson(sum(hits), len(hits)), len(hits))


def ratio(name: str, above: Sequence[float], below: Sequence[float], unit: Unit = "×") -> Measure:
    """``Σ above / Σ below`` with a bootstrap interval; undefined where the denominator is 0."""
    total = sum(below)
    value = sum(above) / total if total else None
    return Measure(name, value, bootstrap_ratio(above, below, name) if total else None, len(above), unit)


def accuracy(items: Sequence[ScoredItem], name: str = "accuracy") -> Measure:
    """The share of right items."""
    return share(name, [item.score.correct for item in items])


def accuracies(items: Sequence[ScoredItem]) -> list[Measure]:
    """Accuracy over all items, and over each category where there are several."""
    categories = list(dict.fromkeys(item.category for item in items))
    found = [accuracy(items)]
    if len(categories) > 1:
        found += [accuracy([x for x in items if x.category == each], f"… {each}") for each in categories]
    return found


def mean_of_shares(name: str, groups: Sequence[tuple[float, Sequence[ScoredItem]]]) -> Measure:
    """A weighted mean of accuracies, each item weighing the weight of its group over the group's size.

    Args:
        name: Of the measure.
        groups: Weight and items of each group, none empty.
    """
    weights = [weight / len(items) for weight, items in groups for _ in items]
    hits = [float(item.score.correct) for _, items in groups for item in items]
    return ratio(name, [w * hit for w, hit in zip(weights, hits, strict=True)], weights, "%")
