"""Several processes: their policies, who plays which tasks, and what they sample with."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from toolwise.core import RolloutTree, Task
from toolwise.dialects import Dialect
from toolwise.learning import DistributedConfig, Spread, World, refresh, settled_strategy
from toolwise.rollout import Collector, CollectorConfig
from toolwise.sampling import Sampler, SamplingParams
from toolwise.systems.policy import Policy
from toolwise.tools import Toolbox

Play = Callable[[Sequence[Task], Sequence[int]], list[RolloutTree]]
"""Plays some of the tasks on this rank, given with their numbers within the visit."""


class RanksCollector(Collector, ABC):
    """Plays tasks on several ranks together; every rank calls `collect` with all of them, and gets all trees.

    Args:
        sampler: This rank's; None where it plays nothing.
        dialect: How turns are written.
        toolbox: The tools there are.
        config: How much to collect and how to sample.
        seed: The run's seed.
        world: The ranks.
    """

    def __init__(
        self,
        sampler: Sampler | None,
        dialect: Dialect,
        toolbox: Toolbox,
        config: CollectorConfig,
        seed: int,
        *,
        world: World,
    ) -> None:
        super().__init__(cast(Sampler, sampler), dialect, toolbox, config, seed)
        self.world = world

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
        """See `Player.collect`; an error on one rank is raised on all, and `done` hears of this rank's."""
        alone = super().collect

        def play(some: Sequence[Task], numbers: Sequence[int]) -> list[RolloutTree]:
            return alone(some, run=run, samples=samples, params=params, done=done, places=numbers)

        return self.together(tasks, range(len(tasks)) if places is None else places, play)

    @abstractmethod
    def together(self, tasks: Sequence[Task], numbers: Sequence[int], play: Play) -> list[RolloutTree]:
        """Have every task played by one rank; all trees, on all ranks, in the order of the tasks.

        Args:
            tasks: The same on every rank.
            numbers: Of each task within the whole visit.
            play: Must not be called with a task that another rank plays.
        """


class SharedCollector(RanksCollector):
    """Each rank plays its share of the tasks.

    Every `world.size`-th task is one rank's: how long rollouts will be is not known beforehand.
    """

    def together(self, tasks: Sequence[Task], numbers: Sequence[int], play: Play) -> list[RolloutTree]:
        """See `RanksCollector.together`."""
        mine = range(self.world.rank, len(tasks), self.world.size)
        trees = self.world.agreed(
            lambda: play([tasks[index] for index in mine], [numbers[index] for index in mine])
        )
        return self.world.joined(dict(zip(mine, trees, strict=True)))


class ServedCollector(RanksCollector):
    """The first rank plays all tasks, on servers that are many already."""

    def together(self, tasks: Sequence[Task], numbers: Sequence[int], play: Play) -> list[RolloutTree]:
        """See `RanksCollector.together`."""
        return self.world.by_first(lambda: play(tasks, numbers))


@dataclass(slots=True)
class SharedPolicy:
    """A policy that several ranks train and sample from.

    Attributes:
        policy: The model that is trained.
        spread: How it lies on the ranks.
        sampled: The policy that is sampled from: the same, or a whole copy on each rank where it is sharded,
            or sampled from while it learns.
    """

    policy: Policy
    spread: Spread
    sampled: Policy

    @classmethod
    def of(
        cls,
        policy: Policy,
        world: World,
        config: DistributedConfig,
        *,
        samples: bool,
        apart: bool = False,
    ) -> SharedPolicy:
        """Settle how a policy lies on the ranks; to be called before it is given to a learner.

        Args:
            policy: Equal on all ranks.
            world: The ranks.
            config: What the recipe says.
            samples: Whether it will be sampled from.
            apart: Sample from a copy that learning does not touch until `take_weights`.
        """
        spread = Spread(world, config, settled_strategy(policy.model, world, config))
        sampled = policy
        if samples and (spread.sharded or apart):
            whole = copy.deepcopy(policy.model).requires_grad_(False)
            sampled = replace(policy, model=whole.to(spread.device))
        return cls(policy, spread, sampled)

    def collector(self, config: CollectorConfig, seed: int, sampler: Sampler | None) -> Collector:
        """What plays out tasks on all ranks together.

        Args:
            config: How much and how.
            seed: The run's.
            sampler: This rank's; where only the first rank has one, that rank plays for all.
        """
        world = self.spread.world
        parts = (self.sampled.dialect, self.sampled.toolbox, config, seed)
        if world.size == 1 and sampler is not None:
            return Collector(sampler, *parts)
        everywhere = all(world.gather(sampler is not None))
        return (SharedCollector if everywhere else ServedCollector)(sampler, *parts, world=world)

    def take_weights(self) -> None:
        """Sample with the present weights; all ranks must ask for it."""
        if self.sampled.model is not self.policy.model:
            refresh(self.sampled.model, self.policy.model)
        self.sampled.model.eval()
