"""The steps of a run: where it goes on, metrics, checkpoints, Ctrl-C, and what an error leaves safe."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, TypeVar

import torch

from toolwise.core import ToolwiseError, seed_for
from toolwise.learning.ahead import Ahead
from toolwise.learning.critic import Critic
from toolwise.learning.distributed import EverywhereError, LostRankError, lost_ranks
from toolwise.learning.interrupts import Interrupted, noted_interrupts, uninterrupted
from toolwise.learning.run_folder import RunFolder
from toolwise.learning.updater import ModelUpdater

Material = TypeVar("Material")
Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called after each step with its number (from 1), the number of steps, and the metrics."""


def run_steps(
    learner: ModelUpdater,
    run: RunFolder,
    steps: int,
    prepare: Callable[[int], Material],
    update: Callable[[int, Material], dict[str, float]],
    seed: int,
    checkpoint_every: int,
    *,
    tokenizer: Any,
    progress: Progress | None,
    reward: Any = None,
    critic: Critic | None = None,
    ahead: Ahead | None = None,
) -> dict[str, float]:
    """Take the steps of a run that are left, from its newest checkpoint on.

    Args:
        learner: Model and optimizer.
        run: Where metrics and checkpoints go.
        steps: Length of the run.
        prepare: What a step (from 1) learns from; it changes nothing and may be interrupted.
        update: Learns from it; the metrics. It is not interrupted.
        seed: Decides the dropout.
        checkpoint_every: Steps from one checkpoint to the next; the last step always writes one.
        tokenizer: Saved with each checkpoint.
        progress: Hears of each step.
        reward: Its state is part of a checkpoint, where it has one.
        critic: Likewise.
        ahead: Likewise.

    Returns:
        Metrics of the last step; empty if nothing was left to do.

    Raises:
        Interrupted: Ctrl-C; the finished steps are in a checkpoint.
        ToolwiseError: What `prepare`, `update` and `RunFolder.save` raise, with how many steps are safe.
    """
    world = learner.world
    done = saved = tried = run.resume(learner, reward=reward, critic=critic, ahead=ahead)
    whole = True
    # Several ranks stop between two steps, together; one process at the end of what it is doing.
    together = noted_interrupts() if world.size > 1 else nullcontext(lambda: False)
    held = uninterrupted if world.size == 1 else nullcontext
    own = () if world.first else (world.rank,)

    def updates_so_far() -> tuple[int, int]:
        return learner.steps, 0 if critic is None else critic.steps

    def save() -> None:
        nonlocal tried, saved
        tried = done
        run.save(done, learner, tokenizer=tokenizer, reward=reward, critic=critic, ahead=ahead)
        saved = done

    updates, state = updates_so_far(), None
    metrics: dict[str, float] = {}
    try:
        with together as pressed, lost_ranks(world):
            for step in range(done + 1, steps + 1):
                if any(world.gather(pressed())):
                    raise KeyboardInterrupt
                material = prepare(step)
                with held():
                    whole = False
                    updates, state = updates_so_far(), _state_of(reward)
                    torch.manual_seed(seed_for(seed, "update", step, *own))
                    metrics = update(step, material)
                    run.log(step, metrics)
                    done, whole = step, True
                    if step % checkpoint_every == 0 or step == steps:
                        save()
                if progress is not None:
                    progress(step, steps, metrics)
    except KeyboardInterrupt:
        if whole and done > saved:
            save()
        raise Interrupted(
            f"stopped; {saved} of {steps} steps are safe in {run.path}",
            mend="run the same command again to go on",
        ) from None
    except ToolwiseError as error:
        # A step that failed before it had touched the weights takes no finished step with it. Several ranks
        # save together, or not at all.
        alike = world.size == 1 or isinstance(error, EverywhereError)
        if alike and done > max(saved, tried) and (whole or updates_so_far() == updates):
            if not whole and state is not None:
                reward.load_state_dict(state)
            save()
        safe = f"{saved} of {steps} steps are safe in {run.path}"
        mend = f"{error.mend}; {safe}" if error.mend else safe
        kind = type(error) if isinstance(error, EverywhereError | LostRankError) else ToolwiseError
        raise kind(error.problem, where=error.where, mend=mend) from error
    return metrics


def _state_of(reward: Any) -> Any:
    return copy.deepcopy(reward.state_dict()) if hasattr(reward, "state_dict") else None
