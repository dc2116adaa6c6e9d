"""The chunks of a stage over Ray Data: same chunks, same order, same result as in one process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from toolwise.data.minprompt.extras import need
from toolwise.data.minprompt.stage import Left, Row, Work

Run = Callable[[Work, Iterator[list[Row]]], Iterable[Any]]
"""How chunks are worked on: `map`, or `ray_run`."""


def ray_run(workers: int) -> Run:
    """Work on chunks with Ray Data; they come back in order.

    Args:
        workers: Tasks at once, ≥ 1. A Ray that is connected already is used; else one is started here,
            with so many processors and no dashboard.

    Raises:
        ToolwiseError: Ray is not installed.
    """
    need("ray", "ray", "leave --ray out")

    def run(work: Work, chunks: Iterator[list[Row]]) -> Iterable[Any]:
        import ray
        import ray.data

        packed = [{"chunk": json.dumps(chunk)} for chunk in chunks]
        if not packed:
            return
        if not ray.is_initialized():
            ray.init(num_cpus=workers, include_dashboard=False, logging_level="warning", log_to_driver=False)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True

        # Rows travel as JSON: a table would give an empty list, or None, another type in each block.
        def one(row: dict[str, Any]) -> dict[str, str]:
            rows, left, counts = work(json.loads(row["chunk"]))
            parts = [rows, [[item.reason, item.id, item.detail] for item in left], counts]
            return {"made": json.dumps(parts)}

        table = ray.data.from_items(packed, override_num_blocks=len(packed))
        for row in table.map(one, concurrency=workers).iter_rows():
            rows, left, counts = json.loads(row["made"])
            yield rows, [Left(*item) for item in left], counts

    return run
