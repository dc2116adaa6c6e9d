"""A user's reward may do anything; what it does wrong is said, with the task and the line."""

from __future__ import annotations

import pytest

from toolwise.core import Reward, Rollout, StopReason, Task, ToolwiseError, Turn, rewards_of

TASK = Task("t", ({"role": "user", "content": "?"},))
ROLLOUTS = [Rollout(TASK, (Turn("assistant", ()),), (0,), n, "t", StopReason.ANSWERED) for n in range(2)]


def test_good_rewards_pass():
    found = [Reward(0.0), Reward(1)]
    assert rewards_of(lambda task, rollouts: tuple(found), TASK, ROLLOUTS) == found


@pytest.mark.parametrize(
    "gives, problem",
    [
        (None, "no list of Reward"),
        ([0.5, 1.0], "no list of Reward"),
        ([Reward(0.0)], "1 rewards for 2 rollouts"),
        ([Reward(0.0), Reward(float("nan"))], "the reward of sample 1 is nan"),
        ([Reward(float("inf")), Reward(0.0)], "the reward of sample 0 is inf"),
        ([Reward("1"), Reward(0.0)], "the reward of sample 0 is '1'"),
    ],
)
def test_what_is_no_reward_is_named(gives, problem):
    with pytest.raises(ToolwiseError, match=f"^task 't': .*{problem}"):
        rewards_of(lambda task, rollouts: gives, TASK, ROLLOUTS)


def test_an_error_of_the_function_tells_its_line():
    def faulty(task, rollouts):
        return task.info["absent"]

    line = faulty.__code__.co_firstlineno + 1
    with pytest.raises(
        ToolwiseError, match=rf"task 't', .*test_rewards_of\.py, line {line}: .*KeyError: 'absent'"
    ) as caught:
        rewards_of(faulty, TASK, ROLLOUTS)
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_that_is_told_already_stays():
    def faulty(task, rollouts):
        raise ToolwiseError("told", where="here")

    with pytest.raises(ToolwiseError, match=r"^here: told$"):
        rewards_of(faulty, TASK, ROLLOUTS)
