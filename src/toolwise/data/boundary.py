"""Boundary filtering: of what a probe has asked, keep what the model does not know.

SMART-ER (arXiv 2502.11435, section 3) keeps the questions that the model cannot answer by itself. There an
auxiliary model is asked once; here the labels of the probe say it, from k samples of the model to be trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolwise.core import Task, ToolwiseError

LABELS = ("known", "uncertain", "unknown")
"""Of the probe, see `toolwise.evaluation.probe.KnowledgeLabel`."""


@dataclass(frozen=True, slots=True)
class BoundaryFilter:
    """What stays, and what does not.

    Attributes:
        kept: Records of the labels that stay, in order.
        dropped: ``id``, ``reason`` and ``known_share`` of the others, in order.
        counts: Rows by label; ``not probed`` for rows that the probe has not asked.
    """

    kept: tuple[Mapping[str, Any], ...]
    dropped: tuple[Mapping[str, Any], ...]
    counts: Mapping[str, int]


def keep_beyond_knowledge(
    probed: Sequence[Task],
    rows: Sequence[Mapping[str, Any]] | None = None,
    keep: Sequence[str] = ("unknown", "uncertain"),
) -> BoundaryFilter:
    """Keep what lies beyond a model's knowledge.

    Args:
        probed: Tasks of a probe file (``info.knowledge``).
        rows: What is filtered, such as demonstrations, by the ``id`` that it shares with the tasks; None: the
            tasks themselves. A row that was not probed is dropped, and counted as that.
        keep: Labels that stay.

    Raises:
        ToolwiseError: A task has no label, a row no id, or nothing stays.
    """
    labels: dict[str, tuple[str, Any]] = {}
    for task in probed:
        label = task.info.get("knowledge")
        if label not in LABELS:
            raise ToolwiseError(
                f"task '{task.id}' has no label in info.knowledge",
                where="boundary",
                mend="probe it first: toolwise probe --tasks FILE --out PROBED",
            )
        labels[task.id] = str(label), task.info.get("known_share")
    given = [task.to_record() for task in probed] if rows is None else rows
    kept, dropped = [], []
    counts: Counter[str] = Counter(dict.fromkeys((*LABELS, "not probed"), 0))
    for number, row in enumerate(given, start=1):
        identity = row.get("id")
        if identity is None:
            raise ToolwiseError(
                f"row {number} has no id", where="boundary", mend="give each row the id of its probed task"
            )
        label, share = labels.get(str(identity), ("not probed", None))
        counts[label] += 1
        if label in keep:
            kept.append(row)
        else:
            dropped.append({"id": str(identity), "reason": label, "known_share": share})
    if not kept:
        found = ", ".join(f"{count} {label}" for label, count in counts.items() if count)
        raise ToolwiseError(
            f"nothing stays: {found or 'no rows'}",
            where="boundary",
            mend="keep more labels with --keep, or probe the tasks of these rows",
        )
    return BoundaryFilter(tuple(kept), tuple(dropped), dict(counts))
