"""A model's outputs for the items of a benchmark, from a folder or from behind an endpoint."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

from toolwise.core import Task
from toolwise.evaluation.benchmarks import Benchmark, Output, play_bfcl
from toolwise.rollout import Player
from toolwise.sampling import SamplingParams
from toolwise.systems.models import resolve_model
from toolwise.systems.playing import prepare, single_turns
from toolwise.systems.policy import Say
from toolwise.systems.recipe import RLRecipe

_RUN = ("benchmark",)
_GREEDY = SamplingParams(temperature=0.0)


class BenchmarkPlayer:
    """A model that is ready to write outputs, greedily.

    Args:
        benchmark: Says which tools the model may call.
        tasks: The items; what does not fit into the model's context is treated as the recipe says.
        recipe: Model, dialect, tools and limits.
        say: Hears what the user should know.

    Attributes:
        tasks: The items that it can play.
        fingerprint: Of all that decides the outputs.

    Raises:
        ToolwiseError: The model or the items cannot be used.
    """

    def __init__(self, benchmark: Benchmark, tasks: Sequence[Task], recipe: RLRecipe, say: Say) -> None:
        if benchmark.tools != "recipe":
            # What the first turn of an item calls is scored and not run; a conversation takes turn by turn.
            recipe = single_turns(recipe)
        self._say = say
        self.fingerprint = _fingerprint(recipe, tasks)
        self._prepared = prepare(recipe, tasks, say, every_tool=benchmark.tools == "recipe")
        self.tasks = self._prepared.tasks

    def play(
        self,
        known: Mapping[str, Output],
        add: Callable[[str, Output], None],
        done: Callable[[int, int], None] | None = None,
    ) -> dict[str, Output]:
        """The output for each item, by its id.

        Args:
            known: Outputs that are there already.
            add: Hears of each new one.
            done: Hears of finished items.
        """
        with closing(self._prepared):
            outputs = asyncio.run(self._play(dict(known), add, done))
        if self._prepared.spent():
            self._say(self._prepared.spent())
        return outputs

    async def _play(
        self,
        outputs: dict[str, Output],
        add: Callable[[str, Output], None],
        done: Callable[[int, int], None] | None,
    ) -> dict[str, Output]:
        player, slots = self._prepared.player, asyncio.Semaphore(self._prepared.at_once)

        async def one(place: int, task: Task) -> None:
            async with slots:
                output = await _output(task, player, (*_RUN, place))
            outputs[task.id] = output
            add(task.id, output)
            if done is not None:
                done(len(outputs), len(self.tasks))

        missing = [(place, task) for place, task in enumerate(self.tasks) if task.id not in outputs]
        await asyncio.gather(*(one(place, task) for place, task in missing))
        return outputs


def _fingerprint(recipe: RLRecipe, tasks: Sequence[Task]) -> str:
    source = recipe.model.source
    told = {
        # Of a run folder the newest checkpoint is taken.
        "model": resolve_model(source) if source is not None and recipe.model.endpoint is None else "",
        "recipe": recipe.model_dump(mode="json", exclude={"training", "learner", "tasks", "reward", "loss"}),
        "seed": recipe.training.seed,
        "tasks": [task.to_record() for task in tasks],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:32]


async def _output(task: Task, player: Player, run: Sequence[str | int]) -> Output:
    if "turns" in task.info:
        return await play_bfcl(task, player, run=run, params=_GREEDY)
    tree = await player.play(task, run=run, samples=1, params=_GREEDY)
    return Output.from_rollout(tree.rollouts()[0])
