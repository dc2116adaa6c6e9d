from __future__ import annotations

import numpy as np
import pytest

from toolwise.core import (
    ErrorKind,
    Reward,
    RolloutEnd,
    RolloutTree,
    StopReason,
    Task,
    ToolCall,
    ToolwiseError,
    Turn,
)
from toolwise.learning import experience_metrics, rollout_records, score


def answer(tokens: tuple[int, ...], **more) -> Turn:
    return Turn("assistant", tokens, sampled=True, logprobs=(-1.0,) * len(tokens), **more)


def tree(name: str, stops: tuple[StopReason, StopReason], broken: bool = False) -> RolloutTree:
    call = ToolCall("search", {}, ErrorKind.MALFORMED_CALL if broken else None)
    paths = [
        [answer((3, 4), calls=(call,)), Turn("tool", (5,)), answer((6,), answer="b")],
        [answer((7, 8, 9), answer="a")],
    ]
    ends = [RolloutEnd(0, sample, name, stop) for sample, stop in enumerate(stops)]
    task = Task(name, ({"role": "user", "content": "?"},), info={"domain": "time"})
    return RolloutTree.from_paths(task, Turn("prompt", (1, 2)), paths, ends)


def by_length(task, rollouts):
    return [Reward(float(len(rollout.turns)), {"correct": float(rollout.calls)}) for rollout in rollouts]


def centred(credits):
    mean = np.mean([credit.reward.total for credit in credits])
    return [(credit.reward.total - mean) * credit.mask for credit in credits]


TREES = [
    tree("one", (StopReason.ANSWERED, StopReason.MAX_TOKENS), broken=True),
    tree("two", (StopReason.ANSWERED, StopReason.ANSWERED)),
]


def test_metrics_of_a_step():
    found = experience_metrics(score(TREES, by_length, centred))
    assert found == {
        "reward_mean": 3.0,
        "reward_std": 1.0,
        "reward_correct": 0.5,
        "accuracy": 0.5,
        "zero_variance_share": 0.0,
        "clipped_share": 0.25,
        "parse_error_share": pytest.approx(1 / 6),
        "calls_per_rollout": 0.5,
        "masked_share": pytest.approx(1 - 12 / 22),
        "rollouts": 4.0,
        "sampled_tokens": 12.0,
    }


def test_groups_of_equal_rewards_are_counted():
    def second_is_flat(task, rollouts):
        return [Reward(float(number if task.id == "one" else 1)) for number in range(len(rollouts))]

    assert experience_metrics(score(TREES, second_is_flat, centred))["zero_variance_share"] == 0.5


def test_a_reward_sees_its_whole_group_once_even_across_trees():
    seen = []

    def watching(task, rollouts):
        seen.append((task.id, [rollout.sample for rollout in rollouts]))
        return [Reward(0.0) for _ in rollouts]

    score([TREES[0], TREES[1], TREES[0]], watching, centred)
    assert seen == [("one", [0, 1, 0, 1]), ("two", [0, 1])]


def test_wrong_numbers_of_values_are_the_users_mistake():
    with pytest.raises(ToolwiseError, match=r"task 'one'.*1 rewards for 2 rollouts"):
        score(TREES, lambda task, rollouts: [Reward(0.0)], centred)
    with pytest.raises(ToolwiseError, match="0 arrays for 4 rollouts"):
        score(TREES, by_length, lambda credits: [])
    with pytest.raises(ToolwiseError, match=r"line \d+: the advantage estimator raised ZeroDivisionError"):
        score(TREES, by_length, lambda credits: 1 / 0)


def test_records_hold_whole_trees_with_advantages_beside_the_tokens():
    records = rollout_records(4, score(TREES, by_length, centred), trees=1, decode=lambda token: f"<{token}>")
    assert [(record["task_id"], record["sample"], record["stop"]) for record in records] == [
        ("one", 0, "answered"),
        ("one", 1, "max_tokens"),
    ]
    first = records[0]
    assert (first["step"], first["reward"], first["parts"], first["info"]) == (
        4,
        4.0,
        {"correct": 1.0},
        {"domain": "time"},
    )
    assert [turn["tokens"] for turn in first["turns"]] == [["<1>", "<2>"], ["<3>", "<4>"], ["<5>"], ["<6>"]]
    assert [turn["advantages"] for turn in first["turns"]] == [[0.0, 0.0], [1.0, 1.0], [0.0], [1.0]]
    assert first["turns"][1]["calls"] == [
        {"name": "search", "arguments": {}, "error": "malformed_call", "detail": ""}
    ]
    assert "tokens" not in rollout_records(4, score(TREES, by_length, centred), trees=1)[0]["turns"][0]
