"""The almanac as files: tasks of each split, and the corpus of its search tool."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from toolwise.data import write_tasks
from toolwise.data.writing import write_records
from toolwise.worlds.almanac import KINDS, Split, build_world, tasks


def write_world(out: Path, *, seed: int = 0, count: int = 100) -> list[tuple[Path, int]]:
    """Write ``train.jsonl``, ``validation.jsonl``, ``heldout.jsonl`` and ``corpus.jsonl``.

    Args:
        out: The folder.
        seed: Of the world.
        count: Most questions of each kind in each split.

    Returns:
        Each file and its number of rows.

    Raises:
        ToolwiseError: The disk refuses.
    """
    world = build_world(seed)
    written = []
    for split in get_args(Split):
        chosen = tasks(world, split, dict.fromkeys(KINDS, count))
        write_tasks(out / f"{split}.jsonl", chosen)
        written.append((out / f"{split}.jsonl", len(chosen)))
    corpus = [{"id": str(place), "text": text} for place, text in enumerate(world.encyclopaedia())]
    write_records(out / "corpus.jsonl", corpus)
    return [*written, (out / "corpus.jsonl", len(corpus))]
