"""Collecting groups of rollouts for many tasks at once."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict, Field

from toolwise.core import RolloutTree, Task, ToolwiseError, seed_for
from toolwise.dialects import Dialect
from toolwise.rollout.agent import Limits, roll_out
from toolwise.rollout.chat_agent import chat_roll_out
from toolwise.sampling import ChatModel, ChatParams, Sampler, SamplingParams
from toolwise.tools import Toolbox


class CollectorConfig(BaseModel):
    """What a training step collects.

    Attributes:
        tasks_per_step: Groups a step.
        group_size: Rollouts a group.
        temperature: Of sampling; log-probabilities are those at this temperature.
        top_p: Nucleus, in (0, 1].
        top_k: 0 keeps all.
        limits: What ends a rollout.
        group_by: Key of ``info`` whose value names a task's group; None: its id does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    tasks_per_step: int = Field(default=16, ge=1)
    group_size: int = Field(default=8, ge=1)
    temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    limits: Limits = Limits()
    group_by: str | None = Field(default=None, min_length=1)

    @property
    def params(self) -> SamplingParams:
        """The sampling parameters that do not change from turn to turn."""
        return SamplingParams(temperature=self.temperature, top_p=self.top_p, top_k=self.top_k)


class Player(ABC):
    """Plays out tasks; holds no state between steps, so that a resumed run goes on exactly.

    Args:
        config: How much to collect and how to sample.
        seed: The run's seed.
    """

    def __init__(self, config: CollectorConfig, seed: int = 0) -> None:
        self.config, self.seed = config, seed

    @abstractmethod
    async def play(
        self,
        task: Task,
        *,
        run: Sequence[str | int],
        samples: int | None = None,
        params: SamplingParams | None = None,
    ) -> RolloutTree:
        """Roll out one task; the arguments are those of `collect`.

        What is sampled depends on the run's seed, `run`, the task, the sample and the turn only.
        """

    def collect(
        self,
        tasks: Sequence[Task],
        *,
        run: Sequence[str | int],
        samples: int | None = None,
        params: SamplingParams | None = None,
        done: Callable[[RolloutTree], None] | None = None,
        places: Sequence[int] | None = None,
    ) -> list[RolloutTree]:
        """Roll out the tasks; trees come back in their order.

        Args:
            tasks: The problems.
            run: Keys that name this visit (for instance ``("train", step)``); seeds derive from the
                run's seed, these, the task, the sample and the turn.
            samples: Group size instead of the configured one.
            params: Sampling parameters instead of the configured ones.
            done: Called with each tree as it is finished, in any order.
            places: Number of each task within the whole visit, where others play the other tasks; seeds
                derive from it.
        """
        numbers = range(len(tasks)) if places is None else places
        return asyncio.run(self._collect(tasks, run, samples, params, done, numbers))

    async def _collect(
        self,
        tasks: Sequence[Task],
        run: Sequence[str | int],
        samples: int | None,
        params: SamplingParams | None,
        done: Callable[[RolloutTree], None] | None,
        places: Sequence[int],
    ) -> list[RolloutTree]:
        async def one(place: int, task: Task) -> RolloutTree:
            # The same task can come twice in a step, at the seam of two epochs.
            tree = await self.play(task, run=(*run, place), samples=samples, params=params)
            if done is not None:
                done(tree)
            return tree

        return await asyncio.gather(*(one(place, task) for place, task in zip(places, tasks, strict=True)))


class Collector(Player):
    """Plays out tasks with a policy whose tokens are sampled.

    Args:
        sampler: Where tokens come from.
        dialect: How turns are written.
        toolbox: The tools there are.
        config: How much to collect and how to sample.
        seed: The run's seed.
    """

    def __init__(
        self, sampler: Sampler, dialect: Dialect, toolbox: Toolbox, config: CollectorConfig, seed: int = 0
    ) -> None:
        super().__init__(config, seed)
        self.sampler, self.dialect, self.toolbox = sampler, dialect, toolbox

    def batch(self, tasks: Sequence[Task], step: int) -> list[Task]:
        """The tasks of a step: every task once an epoch, in an order that depends on (seed, epoch) only."""
        if not tasks:
            raise ToolwiseError("there are no tasks", mend="give a task file with at least one row")
        count = self.config.tasks_per_step
        first = step * count
        chosen: list[Task] = []
        order: dict[int, list[int]] = {}
        for place in range(first, first + count):
            epoch, index = divmod(place, len(tasks))
            if epoch not in order:
                order[epoch] = list(range(len(tasks)))
                random.Random(seed_for(self.seed, "order", epoch)).shuffle(order[epoch])
            chosen.append(tasks[order[epoch][index]])
        return chosen

    async def play(
        self,
        task: Task,
        *,
        run: Sequence[str | int],
        samples: int | None = None,
        params: SamplingParams | None = None,
    ) -> RolloutTree:
        """See `Player.play`."""
        return await roll_out(
            task,
            sampler=self.sampler,
            dialect=self.dialect,
            toolbox=self.toolbox,
            params=params or self.config.params,
            limits=self.config.limits,
            samples=samples or self.config.group_size,
            run=(self.seed, *run),
            group=self._group(task),
        )

    def _group(self, task: Task) -> str:
        key = self.config.group_by
        if key is None:
            return task.id
        if key not in task.info:
            raise ToolwiseError(
                f"info has no '{key}'",
                where=f"task '{task.id}'",
                mend="leave rollout.group_by out, or add it",
            )
        return str(task.info[key])


class ChatCollector(Player):
    """Plays out tasks with a model behind an endpoint.

    Args:
        model: Answers conversations.
        toolbox: The tools there are.
        config: How much to collect and how to sample; ``top_k`` is not part of the protocol and must be 0.
        seed: The run's seed.
        at_once: Most rollouts that are played at the same time, ≥ 1.

    Raises:
        ToolwiseError: ``top_k`` is set.
    """

    def __init__(
        self, model: ChatModel, toolbox: Toolbox, config: CollectorConfig, seed: int = 0, at_once: int = 8
    ) -> None:
        super().__init__(config, seed)
        if config.top_k:
            raise ToolwiseError(
                "an endpoint takes no top_k",
                where="rollout.top_k",
                mend="set it to 0; a server that takes one gets it by model.endpoint.extra: {top_k: …}",
            )
        self.model, self.toolbox, self.at_once = model, toolbox, at_once
        self._slots: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    async def play(
        self,
        task: Task,
        *,
        run: Sequence[str | int],
        samples: int | None = None,
        params: SamplingParams | None = None,
    ) -> RolloutTree:
        """See `Player.play`."""
        loop = asyncio.get_running_loop()
        if self._slots is None or self._slots[0] is not loop:
            self._slots = loop, asyncio.Semaphore(self.at_once)
        chosen = params or self.config.params
        return await chat_roll_out(
            task,
            model=self.model,
            toolbox=self.toolbox,
            params=ChatParams(temperature=chosen.temperature, top_p=chosen.top_p),
            limits=self.config.limits,
            samples=samples or self.config.group_size,
            run=(self.seed, *run),
            slots=self._slots[1],
        )
