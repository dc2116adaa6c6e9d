"""Going on with a run: which keys of its recipe may change, and when it may become longer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from toolwise.core import ToolwiseError
from toolwise.learning import RunFolder
from toolwise.systems.recipe import LearnerSettings, Recipe, RLTraining, SFTTraining

WATCHING = (
    *("sinks", "training.checkpoint_every", "training.validate_every", "training.written_trees"),
    *("sampler.rows", "sampler.parked_tokens"),
    *("distributed", "distributed.strategy", "distributed.cpu_offload", "distributed.timeout"),
)
"""Keys that change what is written down, and where it is computed, and nothing that is learned."""

_START = ("python", "servers", "port", "devices", "memory_share", "sleep", "startup", "environment")
_ASKED = (
    "urls",
    "start",
    "model",
    "api_key_env",
    "concurrency",
    "timeout",
    "retries",
    "patience",
    "weights",
    "folder",
)
SERVERS = (
    *(f"sampler.{name}" for name in (*_ASKED, "trainer_host")),
    *(f"sampler.start.{name}" for name in _START),
)
"""Keys that say where servers are and how long they are waited for."""

Training = TypeVar("Training", SFTTraining, RLTraining)


def changeable(recipe: Recipe) -> tuple[str, ...]:
    """Dotted keys that may differ when a run goes on; `check_length` looks at its length."""
    # In reinforcement learning, epochs are passes over the rollouts of one step, not the run's length.
    length = ("training.steps", "training.epochs") if recipe.stage != "rl" else ("training.steps",)
    return (*WATCHING, *SERVERS, *length)


def begun_length(out: Path, training: Training, updates: Callable[[Training], int]) -> int | None:
    """Optimizer steps with which the run in a folder was begun; None where there is no run.

    Args:
        out: The run folder.
        training: What is asked for now.
        updates: Optimizer steps of a run.

    Raises:
        ToolwiseError: ``config.yaml`` cannot be read.
    """
    there = RunFolder.config_of(out)
    if "training" not in there:
        return None
    try:
        return updates(type(training).model_validate(there["training"]))
    except ValidationError:
        return None  # A run of another stage: its other keys will be refused.


def check_length(
    out: Path, learner: LearnerSettings, before: int | None, now: int, key: str = "learner"
) -> None:
    """Refuse another length where going on would not be what a run of this length does from its start.

    Args:
        out: The run folder.
        learner: How weights are updated.
        before: Optimizer steps of the run as it was begun; None if there is none.
        now: Optimizer steps that are asked for.
        key: Of `learner` in the recipe.

    Raises:
        ToolwiseError: The run would become shorter, or its learning rates depend on its length.
    """
    if before is None or before == now:
        return
    where = str(out / "config.yaml")
    if now < before:
        raise ToolwiseError(
            f"the run in this folder was begun with {before} optimizer steps, and {now} are fewer",
            where=where,
            mend="leave its length as it is and stop it with Ctrl-C, or choose another folder with --out",
        )
    old, new = learner.settled(before), learner.settled(now)
    falling = learner.schedule != "constant"
    if old.warmup_steps != new.warmup_steps or (falling and old.total_steps != new.total_steps):
        name = "schedule" if falling else "warmup_share"
        raise ToolwiseError(
            f"with {key}.{name} = {getattr(learner, name)} the learning rate depends on the run's length: "
            f"{now} optimizer steps would have had other rates from the start than {before}",
            where=where,
            mend=f"begin a new run from its newest checkpoint: --model {out} --out ANOTHER",
        )
