"""Vectors of policy losses, aggregation, KL and value loss as measured in verl."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import TypeAdapter
from torch import Tensor

from toolwise.learning.losses import (
    AdaptiveKL,
    Aggregation,
    KLEstimator,
    PolicyLossConfig,
    aggregate,
    kl_divergence,
    kl_in_reward,
    policy_loss,
    value_loss,
)
from toolwise.testing.vectors.comparison import Check, check, difference, read_json

METRICS = {
    "actor/pg_clipfrac": "clip_fraction",
    "actor/pg_clipfrac_lower": "clip_fraction_lower",
    "actor/ppo_kl": "kl",
}
"""Names of the vectors → ours."""
ESTIMATORS = {"kl": "k1", "mse": "k2", "low_var_kl": "k3", "mse+": "k2", "k2+": "k2", "kl+": "k1+"}
ESTIMATORS |= {"low_var_kl+": "k3+"}
"""Other names of the estimators."""
AGGREGATION_OPTIONS = {
    "batch_num_tokens": "total_tokens",
    "global_batch_size": "total_sequences",
    "dp": "data_parallel",
    "dp_size": "data_parallel",
    "scale": "horizon",
    "loss_scale_factor": "horizon",
}
POLICY_LOSS: TypeAdapter[PolicyLossConfig] = TypeAdapter(PolicyLossConfig)


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _config(row: Mapping[str, Any]) -> PolicyLossConfig:
    """Our configuration of one row of the policy-loss vectors."""
    given, more = row["config"], row["config"].get("policy_loss") or {}
    low = given["clip_ratio"] if given.get("clip_ratio_low") is None else given["clip_ratio_low"]
    high = given["clip_ratio"] if given.get("clip_ratio_high") is None else given["clip_ratio_high"]
    clip = {"clip_low": low, "clip_high": high}
    truncation = given.get("clip_ratio_c", 20.0)
    settings: dict[str, dict[str, Any]] = {
        "vanilla": {"type": "ppo", **clip, "dual_clip": given.get("clip_ratio_c", 3.0)},
        "gspo": {"type": "gspo", **clip},
        "geo_mean": {"type": "geo_mean", **clip},
        "sapo": {
            "type": "sapo",
            "temperature_positive": given.get("tau_pos", 1.0),
            "temperature_negative": given.get("tau_neg", 1.05),
        },
        "cispo": {"type": "cispo", **clip},
        "gpg": {"type": "gpg"},
        "dro": {"type": "dro", "beta": more.get("dro_beta", 0.1)},
        "dppo_tv": {"type": "dppo", "divergence": "tv", **clip, "truncation": truncation},
        "dppo_kl": {"type": "dppo", "divergence": "kl", **clip, "truncation": truncation},
        "clip_cov": {
            "type": "clip_cov",
            **clip,
            "fraction": more.get("clip_cov_ratio", 2e-4),
            "covariance_low": more.get("clip_cov_lb", 1.0),
            "covariance_high": more.get("clip_cov_ub", 5.0),
        },
        "kl_cov": {
            "type": "kl_cov",
            "fraction": more.get("kl_cov_ratio", 2e-4),
            "coefficient": more.get("ppo_kl_coef", 1.0),
        },
    }
    chosen = settings[row["loss_mode"]]
    if row["loss_mode"] not in ("gspo", "geo_mean", "sapo"):  # these fix their own aggregation
        chosen["aggregation"] = row["loss_agg_mode"]
    return POLICY_LOSS.validate_python(chosen)


def _policy_row(inputs: Mapping[str, Any], row: Mapping[str, Any], tolerance: float) -> str:
    log_probs = _tensor(inputs["log_prob"]).requires_grad_()
    weights = _tensor(inputs["rollout_is_weights"]) if row["rollout_is_weights"] else None
    loss, metrics = policy_loss(
        _config(row),
        log_probs,
        _tensor(inputs["old_log_prob"]),
        _tensor(inputs[row["advantage_input"]]),
        _tensor(inputs["response_mask"]),
        importance_weights=weights,
        generator=torch.Generator().manual_seed(0),
    )
    (gradient,) = torch.autograd.grad(loss, log_probs)
    named = {theirs: metrics[ours] for theirs, ours in METRICS.items() if ours in metrics}
    ours = {"loss": loss.item(), "grad_log_prob": gradient.tolist(), "metrics": named}
    expected = {key: row[key] for key in ("loss", "grad_log_prob", "metrics") if key in row}
    return difference(ours, expected, tolerance)


def policy_loss_checks(path: Path) -> Iterator[Check]:
    """Compare ``verl_policy_losses.json``: loss, gradient and metrics of every row."""
    content = read_json(path)
    tolerance = content.get("source", {}).get("tolerance", 1e-5)
    for case in content["cases"]:
        for number, row in enumerate(case["outputs"]):
            name = f"{case['name']}[{number}] {row['loss_mode']} {row['loss_agg_mode']}"
            yield check(name, _policy_row, case["inputs"], row, tolerance)


def _aggregation(inputs: Mapping[str, Any], setting: str) -> float:
    mode, *options = setting.split()
    given: dict[str, Any] = {}
    for option in options:
        key, value = option.split("=")
        given[AGGREGATION_OPTIONS[key]] = int(value)
    loss, mask = _tensor(inputs["loss_mat"]), _tensor(inputs["loss_mask"])
    return aggregate(loss, mask, cast(Aggregation, mode), **given).item()


def _kl(inputs: Mapping[str, Any], name: str) -> dict[str, Any]:
    log_probs = _tensor(inputs["logprob"]).requires_grad_()
    estimator = cast(KLEstimator, ESTIMATORS.get(name, name))
    value = kl_divergence(log_probs, _tensor(inputs["ref_logprob"]), estimator)
    (gradient,) = torch.autograd.grad((value * _tensor(inputs["loss_mask"])).sum(), log_probs)
    return {"value": value.tolist(), "grad_of_masked_sum": gradient.tolist()}


def _value(inputs: Mapping[str, Any]) -> dict[str, float]:
    values, old, returns = (_tensor(inputs[key]) for key in ("vpreds", "values", "returns"))
    loss, metrics = value_loss(values, old, returns, _tensor(inputs["loss_mask"]), inputs["cliprange_value"])
    return {"vf_loss": loss.item(), "clipfrac": metrics["clip_fraction"]}


def _kl_reward(inputs: Mapping[str, Any], key: str) -> list[list[float]]:
    coefficient = float(key.removeprefix("compute_rewards_kl_ratio_").replace("_", "."))
    rewards, log_probs, reference = (_tensor(inputs[name]) for name in ("loss_mat", "logprob", "ref_logprob"))
    return cast(list[list[float]], kl_in_reward(rewards, log_probs, reference, coefficient).tolist())


def auxiliary_checks(path: Path) -> Iterator[Check]:
    """Compare ``verl_aux_losses.json``."""
    content = read_json(path)
    tolerance = content.get("source", {}).get("tolerance", 1e-5)
    inputs = content["inputs"]
    for key, expected in content["outputs"].items():
        if key in GROUPS:
            for name, value in expected.items():
                yield check(f"{key} {name}", _agrees, GROUPS[key], (inputs, name), value, tolerance)
        elif key == "value_loss":
            yield check(key, _agrees, _value, (inputs,), expected, tolerance)
        elif key.startswith("compute_rewards_kl_ratio_"):
            yield check(key, _agrees, _kl_reward, (inputs, key), expected, tolerance)
        elif key == "adaptive_kl":
            given = inputs["adaptive_kl"]
            controller = AdaptiveKL(given["init"], given["target"], given["horizon"])
            for number, step in enumerate(expected):
                arguments = (step["current_kl"], step["n_steps"])
                name = f"adaptive_kl[{number}]"
                yield check(name, _agrees, controller.update, arguments, step["value"], tolerance)
        else:
            yield Check(key, "this output is not known")


def _agrees(compute: Callable[..., Any], arguments: tuple[Any, ...], expected: Any, tolerance: float) -> str:
    return difference(compute(*arguments), expected, tolerance)


def _kl_value(inputs: Mapping[str, Any], name: str) -> list[list[float]]:
    return cast(list[list[float]], _kl(inputs, name)["value"])


GROUPS: Mapping[str, Callable[..., Any]] = {
    "agg_loss": _aggregation,
    "kl_penalty": _kl_value,
    "kl_penalty_with_grad": _kl,
}
"""Outputs that hold one value for each of several settings."""
