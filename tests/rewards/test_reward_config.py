import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from toolwise.core import Reward, RewardFunction, Rollout, StopReason, Task, Turn
from toolwise.rewards import OTCReward, RewardConfig, ToolRLReward, build_reward

ADAPTER = TypeAdapter(RewardConfig)
TASK = Task("t", ({"role": "user", "content": "?"},), answer="yes")
ROLLOUT = Rollout(TASK, (Turn("assistant", (), answer="Yes."),), (0,), 0, "t", StopReason.ANSWERED)


def constant(task, rollouts, value=1.0):
    return [Reward(value) for _ in rollouts]


class Stateful:
    def __init__(self, value):
        self.value = value

    def __call__(self, task, rollouts):
        return [Reward(self.value) for _ in rollouts]

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


@pytest.mark.parametrize(
    "config",
    [
        {"type": "exact_match"},
        {"type": "f1", "format_weight": 0.1},
        {"type": "numeric", "after": "####"},
        {"type": "otc", "correctness": {"type": "f1"}},
        {"type": "mash", "penalty": "linear"},
        {"type": "toolrl", "length": "fixed"},
        {"type": "custom", "target": f"{__name__}:constant"},
    ],
)
def test_every_type_builds_a_reward_function(config):
    reward = build_reward(ADAPTER.validate_python(config))
    assert isinstance(reward, RewardFunction)


def test_otc_nests_its_correctness_and_its_state():
    config = ADAPTER.validate_python(
        {
            "type": "otc",
            "smoothing": 2,
            "correctness": {"type": "custom", "target": f"{__name__}:Stateful", "arguments": {"value": 0.5}},
            "correct_at": 0.5,
        }
    )
    reward = build_reward(config)
    assert isinstance(reward, OTCReward)
    assert reward(TASK, [ROLLOUT])[0].total == 0.5
    assert reward.state_dict() == {"minima": {"t": 0}, "correctness": {"value": 0.5}}
    reward.load_state_dict({"minima": {}, "correctness": {"value": 0.25}})
    assert reward(TASK, [ROLLOUT])[0].total == 0.25
    assert reward.state_dict()["minima"] == {}


def test_otc_passes_the_step_on():
    inner = ToolRLReward()
    OTCReward(inner).begin_step(31)
    assert inner.state_dict() == {"step": 31}


def test_a_custom_function_gets_its_arguments():
    config = {"type": "custom", "target": f"{__name__}:constant", "arguments": {"value": 3.0}}
    assert build_reward(ADAPTER.validate_python(config))(TASK, [ROLLOUT])[0].total == 3.0


@pytest.mark.parametrize(
    "config",
    [
        {"type": "exact"},
        {"type": "exact_match", "marker": "x"},
        {"type": "otc", "smoothing": 0},
        {"type": "otc", "correctness": {"type": "otc"}},
        {"type": "otc", "minimum": "group", "update_first": False},
        {"type": "custom", "target": "no.such.module:thing"},
        {"type": "custom", "target": f"{__name__}:nothing"},
        {"type": "custom", "target": f"{__name__}:TASK"},
    ],
)
def test_wrong_configurations_are_refused(config):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(config)


def test_neither_rewards_nor_advantages_import_torch():
    code = "import sys, toolwise.rewards, toolwise.advantages; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
