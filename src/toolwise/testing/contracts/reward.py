"""The contract of a reward function."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from toolwise.core import Reward, RewardFunction, Rollout, Task
from toolwise.testing.contracts.examples import example_group
from toolwise.testing.contracts.requirement import require


def check_reward(
    reward: RewardFunction, task: Task | None = None, rollouts: Sequence[Rollout] | None = None
) -> list[Reward]:
    """Check a reward function on a group of rollouts.

    One finite `Reward` for each rollout, in their order; turn and token rewards of the right length; the same
    again for the same group from the same state, whatever the order of the rollouts; and a state that can be
    checkpointed as JSON.

    Args:
        reward: What is checked; it is left in the state that it was in.
        task: The problem; left out, that of `example_group`.
        rollouts: Its rollouts; left out, those of `example_group`.

    Returns:
        The rewards, for checks of one's own.

    Raises:
        AssertionError: Says what is broken.
    """
    if task is None or rollouts is None:
        task, rollouts = example_group()
    state = _state(reward)
    found = reward(task, list(rollouts))
    require(isinstance(found, list), f"it gives {type(found).__name__}, not a list of Reward")
    require(len(found) == len(rollouts), f"it gives {len(found)} rewards for {len(rollouts)} rollouts")
    for place, (each, rollout) in enumerate(zip(found, rollouts, strict=True)):
        _check_one(each, rollout, f"reward {place}")
    _restore(reward, state)
    again = reward(task, list(rollouts))
    require(again == found, "the same group from the same state gets other rewards the second time")
    _restore(reward, state)
    backwards = reward(task, list(reversed(rollouts)))
    require(
        list(reversed(backwards)) == found, "the rewards depend on the order in which the rollouts are given"
    )
    _restore(reward, state)
    return found


def _check_one(each: Any, rollout: Rollout, name: str) -> None:
    require(isinstance(each, Reward), f"{name} is {type(each).__name__}, not a Reward")
    require(_finite(each.total), f"{name} has the total {each.total!r}, which is no finite number")
    for part, value in each.parts.items():
        require(isinstance(part, str), f"{name} has a part whose name is {part!r}, not a string")
        require(_finite(value), f"{name} has the part '{part}' = {value!r}, which is no finite number")
    turns = sum(turn.role == "assistant" for turn in rollout.turns)
    for kind, values, wanted in (
        ("turns", each.turns, turns),
        ("tokens", each.tokens, len(rollout.token_ids)),
    ):
        require(
            len(values) in (0, wanted), f"{name} has {len(values)} values in '{kind}', not {wanted} (or none)"
        )
        require(all(map(_finite, values)), f"{name} has a value in '{kind}' that is no finite number")


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _state(reward: Any) -> str | None:
    saves, loads = hasattr(reward, "state_dict"), hasattr(reward, "load_state_dict")
    require(saves == loads, "it has only one of state_dict and load_state_dict")
    if not saves:
        return None
    try:
        return json.dumps(reward.state_dict())
    except (TypeError, ValueError) as error:
        raise AssertionError(f"state_dict() cannot be written as JSON: {error}") from error


def _restore(reward: Any, state: str | None) -> None:
    if state is None:
        return
    reward.load_state_dict(json.loads(state))
    require(_state(reward) == state, "state_dict() is not what load_state_dict() was given")
