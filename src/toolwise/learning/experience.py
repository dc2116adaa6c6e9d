"""Experience: the scored rollouts of one training step, what they show, and how they are written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from toolwise.advantages import ActorCriticEstimator, penalised
from toolwise.advantages.credit import AdvantageEstimator, Floats, credit_of
from toolwise.core import (
    ErrorKind,
    Reward,
    RewardFunction,
    Rollout,
    RolloutTree,
    StopReason,
    ToolwiseError,
    rewards_of,
)
from toolwise.core.targets import blamed
from toolwise.learning.losses import KLInRewardConfig, kl_divergence
from toolwise.learning.token_tree import TokenTree

UNCUT = (StopReason.ANSWERED, StopReason.DEMONSTRATION)


@dataclass(frozen=True, slots=True)
class Experience:
    """What one step learns from; the lists run alike: for each tree one entry per rollout.

    Attributes:
        trees: All that was tried.
        rollouts: Their paths.
        rewards: The reward of each rollout, as the reward function gave it.
        advantages: The advantage of each token of each rollout, shape (L,).
        returns: The critic's target at each token of each rollout, shape (L,); empty without a critic.
        flat: The trees as they were laid out before they were scored.
    """

    trees: tuple[RolloutTree, ...]
    rollouts: tuple[tuple[Rollout, ...], ...]
    rewards: tuple[tuple[Reward, ...], ...]
    advantages: tuple[tuple[Floats, ...], ...]
    returns: tuple[tuple[Floats, ...], ...] = ()
    flat: tuple[TokenTree, ...] = field(default=(), repr=False)

    def token_trees(self) -> list[TokenTree]:
        """The trees as the learner and the critic take them."""
        flat = self.flat or [TokenTree.reinforced(tree) for tree in self.trees]
        returns = self.returns or [None] * len(flat)
        return [
            tree.credited(advantages, targets)
            for tree, advantages, targets in zip(flat, self.advantages, returns, strict=True)
        ]


def score(
    trees: Sequence[RolloutTree],
    reward: RewardFunction,
    advantage: AdvantageEstimator,
    *,
    flat: Sequence[TokenTree] = (),
    penalties: Sequence[Sequence[Floats]] = (),
) -> Experience:
    """Reward the rollouts group by group and estimate their advantages.

    Args:
        trees: The rollouts of one step. Rollouts of one task with one group key are one group.
        reward: Called once for each group.
        advantage: Called once, with all rollouts in order.
        flat: The same trees laid out, with the critic's values where the estimator needs them.
        penalties: For each tree and rollout what each token's reward loses, shape (L,), see `penalised`; the
            rewards of the experience stay as they are. Default: nothing.

    Raises:
        ToolwiseError: A user's reward failed (see `rewards_of`), or an estimator returned the wrong number of
            values.
    """
    rollouts = tuple(tuple(tree.rollouts()) for tree in trees)
    groups: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for number, tree in enumerate(rollouts):
        for place, rollout in enumerate(tree):
            groups.setdefault((rollout.task.id, rollout.group), []).append((number, place))
    rewards: dict[tuple[int, int], Reward] = {}
    for members in groups.values():
        task = trees[members[0][0]].task
        found = rewards_of(reward, task, [rollouts[number][place] for number, place in members])
        rewards.update(zip(members, found, strict=True))
    values = [None if tree.values is None else tree.along(tree.values) for tree in flat]
    places = [(number, place) for number, tree in enumerate(rollouts) for place in range(len(tree))]
    credits = []
    for number, place in places:
        of_tree = values[number] if values else None
        own = None if of_tree is None else of_tree[place]
        credit = credit_of(rollouts[number][place], rewards[number, place], str(number), own)
        credits.append(penalised(credit, penalties[number][place]) if penalties else credit)
    returns: list[Floats] = []
    with blamed("the advantage estimator"):
        if isinstance(advantage, ActorCriticEstimator):
            gains, returns = advantage.with_returns(credits)
        else:
            gains = advantage(credits)
    for given in (gains, returns or gains):
        if len(given) != len(places):
            raise ToolwiseError(
                f"the advantage estimator gave {len(given)} arrays for {len(places)} rollouts",
                where="advantage",
            )

    def by_tree(found: Sequence[Any]) -> tuple[tuple[Any, ...], ...]:
        given = iter(found)
        return tuple(tuple(next(given) for _ in tree) for tree in rollouts)

    return Experience(
        tuple(trees),
        rollouts,
        by_tree([rewards[place] for place in places]),
        by_tree(gains),
        by_tree(returns) if returns else (),
        tuple(flat),
    )


def reward_penalties(flat: Sequence[TokenTree], config: KLInRewardConfig) -> list[list[Floats]]:
    """β·KL(π_old‖π_ref) at each sampled token, for each tree and rollout, shape (L,) each.

    Args:
        flat: Trees with ``ref_logprobs``.
        config: Estimator and β.

    Raises:
        ToolwiseError: A tree has no log-probabilities of a reference.
    """
    found = []
    for tree in flat:
        if tree.ref_logprobs is None:
            raise ToolwiseError(
                "the KL penalty has no reference log-probabilities",
                where="kl_in_reward.coefficient",
                mend="give a reference policy, or set it to 0",
            )
        old, reference = torch.from_numpy(tree.old_logprobs), torch.from_numpy(tree.ref_logprobs)
        penalty = config.coefficient * kl_divergence(old, reference, config.estimator).numpy()
        found.append(tree.along(np.where(tree.weight > 0, penalty, 0.0)))
    return found


def experience_metrics(experience: Experience) -> dict[str, float]:
    """What the rollouts of a step show, learning aside.

    Returns:
        ``reward_mean``, ``reward_std``; ``reward_NAME``, the mean of each part; ``accuracy`` where a part is
        called ``correct``; ``zero_variance_share`` of groups of at least two; ``clipped_share`` of rollouts
        that a limit cut; ``parse_error_share`` of assistant turns; ``calls_per_rollout``;
        ``masked_share`` of tokens that pull on nothing (not sampled, or advantage 0); ``rollouts``;
        ``sampled_tokens``. Shares lie in 0 to 1.
    """
    rollouts = [rollout for tree in experience.rollouts for rollout in tree]
    rewards = [reward for tree in experience.rewards for reward in tree]
    totals = np.array([reward.total for reward in rewards])
    groups: dict[tuple[str, str], list[float]] = {}
    for rollout, total in zip(rollouts, totals, strict=True):
        groups.setdefault((rollout.task.id, rollout.group), []).append(float(total))
    compared = [values for values in groups.values() if len(values) > 1]
    parts: dict[str, list[float]] = {}
    for reward in rewards:
        for name, value in reward.parts.items():
            parts.setdefault(name, []).append(float(value))
    turns = [turn for tree in experience.trees for turn in tree.turns]
    written = [turn for turn in turns if turn.role == "assistant"]
    broken = sum(
        turn.error is ErrorKind.MALFORMED_CALL
        or any(call.error is ErrorKind.MALFORMED_CALL for call in turn.calls)
        for turn in written
    )
    pulling = sum(int(np.count_nonzero(values)) for tree in experience.advantages for values in tree)
    tokens = sum(len(values) for tree in experience.advantages for values in tree)
    metrics = {
        "reward_mean": _mean(totals),
        "reward_std": float(totals.std()) if len(totals) else 0.0,
        "zero_variance_share": _mean([max(values) == min(values) for values in compared]),
        "clipped_share": _mean([rollout.stop not in UNCUT for rollout in rollouts]),
        "parse_error_share": broken / max(1, len(written)),
        "calls_per_rollout": _mean([rollout.calls for rollout in rollouts]),
        "masked_share": 1.0 - pulling / max(1, tokens),
        "rollouts": float(len(rollouts)),
        "sampled_tokens": float(sum(len(turn.token_ids) for turn in turns if turn.sampled)),
    }
    metrics |= {f"reward_{name}": _mean(values) for name, values in sorted(parts.items())}
    if "correct" in parts:
        metrics["accuracy"] = _mean(parts["correct"])
    return metrics


def rollout_records(
    step: int, experience: Experience, *, trees: int, decode: Callable[[int], str] | None = None
) -> list[dict[str, Any]]:
    """The rollouts of the first `trees` trees, whole, for people to read and for the report.

    Args:
        step: The training step.
        experience: Its rollouts.
        trees: How many trees; a tree is written with all its rollouts.
        decode: Text of one token; without it ``tokens`` is left out.
    """
    records = []
    for number in range(min(trees, len(experience.trees))):
        for rollout, reward, advantages in zip(
            experience.rollouts[number],
            experience.rewards[number],
            experience.advantages[number],
            strict=True,
        ):
            records.append(
                {
                    "step": step,
                    "task_id": rollout.task.id,
                    "sample": rollout.sample,
                    "group": rollout.group,
                    "reward": reward.total,
                    "parts": dict(reward.parts),
                    "stop": str(rollout.stop),
                    "turns": _turn_records(rollout, advantages, decode),
                    "info": dict(rollout.task.info),
                }
            )
    return records


def _turn_records(
    rollout: Rollout, advantages: NDArray[np.float64], decode: Callable[[int], str] | None
) -> list[dict[str, Any]]:
    records, start = [], 0
    for turn in rollout.turns:
        end = start + len(turn.token_ids)
        record = turn.to_record()
        record.pop("weights")
        record["advantages"] = [round(float(value), 6) for value in advantages[start:end]]
        if decode is not None:
            record["tokens"] = [decode(token) for token in turn.token_ids]
        records.append(record)
        start = end
    return records


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
