"""World: the processes that train one model together, and what they must agree on."""

from __future__ import annotations

import gc
import heapq
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from pydantic import BaseModel, ConfigDict, Field
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from toolwise.core import ToolwiseError

Value = TypeVar("Value")
_MESHES: dict[str, DeviceMesh] = {}
"""Of this process's group, by kind of device."""
_TRACES = ("gloo", "nccl", "connection closed", "connection reset", "timed out", "timeout", "store")
"""What the messages of torch's communication errors have in them; few of them have a type of their own."""


class DistributedConfig(BaseModel):
    """How a model lies on several processes (``torchrun``, ``accelerate launch``); one process ignores it.

    Attributes:
        strategy: ``ddp``: every process has the whole model; ``fsdp2``: each has a shard of every weight,
            gradient and moment. ``auto`` takes ``fsdp2`` where whole copies would fill more than a third of
            an accelerator, and ``ddp`` elsewhere.
        cpu_offload: ``fsdp2`` keeps its shards in the memory of the host.
        timeout: Seconds after which a process that waits for the others gives up, > 0; it must be longer than
            collecting the slowest rollouts of a step takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    strategy: Literal["auto", "ddp", "fsdp2"] = "auto"
    cpu_offload: bool = False
    timeout: float = Field(default=1800.0, gt=0)


class EverywhereError(ToolwiseError):
    """An error that every rank raises at the same place."""


class LostRankError(ToolwiseError):
    """Another rank died, hangs, or went another way."""


@dataclass(frozen=True, slots=True)
class World:
    """The ranks of a run. With one of them every method does the obvious thing without communication.

    Every rank must call the methods in the same order. Objects travel between the ranks of one run only.

    Attributes:
        rank: Number of this process, in [0, size).
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks to people."""
        return self.rank == 0

    def gather(self, value: Value) -> list[Value]:
        """The value of each rank, on every rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def totals(self, values: Mapping[str, float]) -> dict[str, float]:
        """Sums over the ranks; a rank may lack some of the names."""
        found = self.gather(dict(values))
        names = dict.fromkeys(name for mapping in found for name in mapping)
        return {name: sum(mapping.get(name, 0.0) for mapping in found) for name in names}

    def joined(self, parts: Mapping[int, Value]) -> list[Value]:
        """What all ranks together have, in the order of its keys."""
        merged = {key: value for found in self.gather(dict(parts)) for key, value in found.items()}
        return [merged[key] for key in sorted(merged)]

    def share(self, costs: Sequence[float]) -> list[int]:
        """Which pieces of work are this rank's, see `shares`."""
        return shares(costs, self.size)[self.rank]

    def agreed(self, work: Callable[[], Value]) -> Value:
        """Do something on every rank; where it fails on one, all raise that error.

        Args:
            work: Must not communicate.

        Raises:
            EverywhereError: The error of the first rank that had one.
        """
        if self.size == 1:
            return work()
        failure: ToolwiseError | None = None
        value: Any = None
        try:
            value = work()
        except ToolwiseError as error:
            failure = error
        said = None if failure is None else (failure.problem, failure.where, failure.mend)
        for rank, found in enumerate(self.gather(said)):
            if found is not None:
                raise EverywhereError(found[0], where=found[1], mend=found[2]) from (
                    failure if rank == self.rank else None
                )
        return value  # type: ignore[no-any-return]

    def by_first(self, work: Callable[[], Value]) -> Value:
        """Do something on the first rank only; all get what it returns, or raise what it raises."""
        value = self.agreed(lambda: work() if self.first else None)
        return self.gather(value)[0]  # type: ignore[return-value]

    def mesh(self, kind: str) -> DeviceMesh:
        """All ranks in a row, over devices of a kind (``cpu``, ``cuda``)."""
        if kind not in _MESHES:
            _MESHES[kind] = init_device_mesh(kind, (self.size,))
        return _MESHES[kind]

    def same(self, numbers: Sequence[float], what: str, mend: str) -> None:
        """Make sure that all ranks have the same numbers, up to rounding.

        Raises:
            EverywhereError: They do not.
        """
        found = self.gather([float(number) for number in numbers])
        for rank, other in enumerate(found):
            if len(other) != len(found[0]) or not np.allclose(other, found[0], 1e-4, 1e-6, equal_nan=True):
                raise EverywhereError(f"ranks 0 and {rank} have different {what}", mend=mend)


def shares(costs: Sequence[float], size: int) -> list[list[int]]:
    """Pieces of work for each rank: the dearest first, to whoever has least so far (Graham 1969)."""
    loads = [(0.0, rank) for rank in range(size)]
    found: list[list[int]] = [[] for _ in loads]
    for index in sorted(range(len(costs)), key=lambda index: (-costs[index], index)):
        load, rank = heapq.heappop(loads)
        found[rank].append(index)
        heapq.heappush(loads, (load + costs[index], rank))
    return [sorted(part) for part in found]


ALONE = World()


def launched() -> World:
    """The world that the environment speaks of (``RANK``, ``WORLD_SIZE``), before it is joined.

    Raises:
        ToolwiseError: The variables make no sense.
    """
    try:
        size = int(os.environ.get("WORLD_SIZE", "1"))
        rank = int(os.environ["RANK"]) if size > 1 else 0
    except (KeyError, ValueError) as error:
        raise ToolwiseError(
            "WORLD_SIZE is set, and RANK does not say which process this is",
            where="environment",
            mend="start with torchrun or accelerate launch, or unset WORLD_SIZE",
        ) from error
    return World(rank, size)


@contextmanager
def joined_world(config: DistributedConfig) -> Iterator[World]:
    """Join the other processes for as long as the block runs; a group that is there already is taken.

    Gloo connects processors, NCCL accelerators. The current CUDA device becomes that of ``LOCAL_RANK``. What
    was spread over the ranks (`Spread`) is to be let go of before the block ends, as when a function returns.

    Raises:
        ToolwiseError: Fewer accelerators than processes on this machine, or the others do not come.
        LostRankError: Communication failed within the block.
    """
    if dist.is_available() and dist.is_initialized():
        try:
            with lost_ranks(World(dist.get_rank(), dist.get_world_size())) as world:
                yield world
        finally:
            _MESHES.clear()  # the group may be another one next time
        return
    world = launched()
    if world.size == 1:
        yield world
        return
    cuda = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", str(world.rank)))
    if cuda and local >= torch.cuda.device_count():
        raise ToolwiseError(
            f"process {local} of this machine has no accelerator; there are {torch.cuda.device_count()}",
            where="distributed",
            mend=f"start {torch.cuda.device_count()} processes on each machine (--nproc-per-node)",
        )
    if cuda:
        torch.cuda.set_device(local)
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=timedelta(seconds=config.timeout)
        )
    except (RuntimeError, ValueError) as error:
        raise ToolwiseError(
            f"the {world.size} processes do not find each other: {' '.join(str(error).split())[:300]}",
            where="distributed",
            mend="do all machines see MASTER_ADDR and MASTER_PORT, and do all processes run?",
        ) from error
    with lost_ranks(world):
        yield world
    # Not after an error: taking the group down would wait for ranks that are gone.
    _leave()


def _leave() -> None:
    """Take the group down, and gloo's threads with it.

    A thread that lives on may drop its last tensors while the interpreter ends; that aborts the process
    (SIGABRT) after all work is done. The threads end with the last reference to the group: models that were
    spread over the ranks have one, in cycles, and so have meshes, which torch keeps in caches of its own.
    """
    while _MESHES:
        _MESHES.popitem()[1]._pg_registry.clear()
    dist.destroy_process_group()
    gc.collect()


@contextmanager
def lost_ranks(world: World) -> Iterator[World]:
    """Errors of communication within the block become `LostRankError`."""
    try:
        yield world
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if world.size == 1 or not (
            isinstance(error, dist.DistError) or any(trace in text.lower() for trace in _TRACES)
        ):
            raise
        raise LostRankError(
            f"rank {world.rank} of {world.size} has lost another one: it died, hangs, or left the common way "
            f"({text[:200]})",
            where="distributed",
            mend="read what the other ranks printed; then run the same command again to go on",
        ) from error
