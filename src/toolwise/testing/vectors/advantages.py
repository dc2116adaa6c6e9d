"""Vectors of advantage estimators as measured in verl, run through ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolwise.advantages import (
    GAE,
    AdvantageConfig,
    Credit,
    DrGRPOConfig,
    GDPOConfig,
    GPGConfig,
    GRPOConfig,
    OPOConfig,
    PassAtKConfig,
    ReinforcePlusPlusBaselineConfig,
    ReinforcePlusPlusConfig,
    RLOOConfig,
    build_advantage,
    discounted_returns,
    optimal_token_baseline,
    remax_advantages,
)
from toolwise.core import Reward, ToolwiseError
from toolwise.testing.vectors.comparison import Array, Check, check, difference, read_json

PRESETS: Mapping[str, AdvantageConfig] = {
    "grpo": GRPOConfig(),
    "grpo_vectorized": GRPOConfig(),
    "dr_grpo": DrGRPOConfig(),
    "grpo_passk": PassAtKConfig(),
    "rloo": RLOOConfig(),
    "rloo_vectorized": RLOOConfig(single="zero"),
    "reinforce_plus_plus_baseline": ReinforcePlusPlusBaselineConfig(),
    "opo": OPOConfig(),
    "gpg": GPGConfig(),
}


def _credits(inputs: Mapping[str, Any]) -> list[Credit]:
    rewards, mask = np.array(inputs["token_level_rewards"]), np.array(inputs["response_mask"]) > 0
    parts = inputs.get("gdpo", {})
    credits = []
    for row, group in enumerate(inputs["index"]):
        named = {key: float(parts[key][row]) for key in parts.get("keys", ())}
        reward = Reward(float(rewards[row].sum()), named, tokens=tuple(rewards[row]))
        places = np.zeros(mask.shape[1], dtype=np.int64)
        values = np.array(inputs["values"][row]) if "values" in inputs else None
        credits.append(Credit(str(group), reward, mask[row], places, places + row, str(row), values))
    return credits


def _options(words: list[str]) -> dict[str, float]:
    pairs = [word.partition("=") for word in words]
    return {key: float(value) for key, _, value in pairs if key in ("gamma", "lam")}


def _compute(inputs: Mapping[str, Any], setting: str) -> dict[str, Array]:
    """Advantages and returns of one output, both shape (B, L)."""
    name, *words = setting.split()
    options = _options(words)
    rewards = np.array(inputs["token_level_rewards"], dtype=np.float64)
    mask = np.array(inputs["response_mask"], dtype=np.float64)
    if name in PRESETS:
        advantages = np.stack(build_advantage(PRESETS[name])(_credits(inputs)))
        return {"advantages": advantages, "returns": advantages}
    if name == "gdpo":
        given = inputs["gdpo"]
        weights = dict.fromkeys(given["keys"], 1.0)
        weights |= zip(given["keys"], given.get("weights") or [], strict=False)
        advantages = np.stack(build_advantage(GDPOConfig(parts=weights))(_credits(inputs)))
        return {"advantages": advantages, "returns": advantages}
    if name == "reinforce_plus_plus":
        config = ReinforcePlusPlusConfig(discount=options.get("gamma", 1.0))
        returns = discounted_returns(rewards, mask, config.discount)
        return {"advantages": np.stack(build_advantage(config)(_credits(inputs))), "returns": returns}
    if name == "remax":
        advantages, returns = remax_advantages(rewards, np.array(inputs["reward_baselines"]), mask)
    elif name == "gae":
        estimator = GAE(options.get("gamma", 1.0), options.get("lam", 1.0))
        found = estimator.with_returns(_credits(inputs))
        advantages, returns = np.stack(found[0]), np.stack(found[1])
    elif name in ("optimal_token_baseline", "tir_optimal_token_baseline"):
        log_probs, squared = np.array(inputs["old_log_probs"]), np.array(inputs["sum_pi_squared"])
        advantages, returns = optimal_token_baseline(
            rewards, mask, inputs["index"], log_probs, squared, by_sampled_token=name.startswith("tir")
        )
    else:
        raise KeyError(f"no estimator {name!r}")
    return {"advantages": advantages, "returns": returns}


def _case(inputs: Mapping[str, Any], setting: str, expected: Mapping[str, Any], tolerance: float) -> str:
    mask = np.array(inputs["response_mask"]) > 0
    try:
        ours = _compute(inputs, setting)
    except ToolwiseError as error:
        return "" if "error" in expected else f"refused: {error}"
    if "error" in expected:
        return f"gave a result, expected {expected['error']}"
    for key in ("advantages", "returns"):
        if key in expected:  # observations and padding may hold anything
            found = difference(ours[key][mask], np.array(expected[key])[mask], tolerance)
            if found:
                return f"{key}: {found}"
    return ""


def checks(path: Path) -> Iterator[Check]:
    """Compare ``verl_advantages.json``: every estimator on every batch."""
    content = read_json(path)
    tolerance = content.get("source", {}).get("tolerance", 1e-5)
    for case in content["cases"]:
        for setting, expected in case["outputs"].items():
            yield check(f"{case['name']} {setting}", _case, case["inputs"], setting, expected, tolerance)
