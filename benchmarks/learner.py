"""The learner: forward and backward pass on groups, against the padded batch in which nothing is shared.

``python -m benchmarks.learner [--device cuda] [--rounds N] [--only NAME ...]``. The peer is what trainers
commonly do: each rollout a row of its own, the model's own causal attention, logits for the completions only.
Both sides compute the same loss on the same tokens; that log-probabilities and gradients agree is checked
first. They take turns, and a ratio is the median over rounds, with the lowest and the highest. Beside it
stands the ratio to rows whose logits are computed at every token, as a plain call of a model does.

``--memory`` measures peak memory at a vocabulary of 150,000 instead, for growing numbers of trained tokens.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.report import finish, peak_gib, table
from benchmarks.shapes import group, parameters, random_model, tree_of
from toolwise.core import RolloutTree
from toolwise.learning import TokenTree, aggregation_factors, batch_loss, pack, token_logprobs
from toolwise.learning.losses import PPOLossConfig, policy_loss

GOALS = {"ratio_1024_128_8": 4.5, "ratio_1024_128_8_small": 3.5, "ratio_32_256_8": 1.0}
LOSS = PPOLossConfig()
VOCABULARY = 150_000


@dataclass(frozen=True)
class Case:
    """One comparison: a model and a tree."""

    size: str
    tree: RolloutTree

    @property
    def tokens(self) -> int:
        """What the padded batch computes."""
        rollouts = self.tree.rollouts()
        return len(rollouts) * max(len(rollout.token_ids) for rollout in rollouts)

    @property
    def unique(self) -> int:
        """What stands once in the tree."""
        return sum(len(turn.token_ids) for turn in self.tree.turns)


def cases(large: bool) -> dict[str, Case]:
    """The comparisons, on the CPU or at sizes that keep a GPU busy."""
    if large:
        vocabulary = 151_936
        return {
            f"ratio_1024_256_8_{size}": Case(size, group(1024, 256, 8, vocabulary))
            for size in ("0.5B", "1.5B")
        } | {"ratio_32_256_8_0.5B": Case("0.5B", group(32, 256, 8, vocabulary))}
    return {
        "ratio_1024_128_8": Case("13M", group(1024, 128, 8, 4096)),
        "ratio_1024_128_8_small": Case("1.4M", group(1024, 128, 8, 2048)),
        "ratio_32_256_8": Case("13M", group(32, 256, 8, 4096)),
        "ratio_32_256_8_small": Case("1.4M", group(32, 256, 8, 2048)),
        "ratio_deep": Case("13M", tree_of([512, 64, 64, 64], [2, 2, 2], 4096)),
        "ratio_deep_small": Case("1.4M", tree_of([512, 64, 64, 64], [2, 2, 2], 2048)),
    }


def ours(model: Any, tree: TokenTree) -> tuple[torch.Tensor, torch.Tensor]:
    """Forward and backward over the packed tree; loss, and log-probabilities of the trained tokens."""
    factors = aggregation_factors([tree], LOSS.aggregation, None)
    (packed,) = pack([tree], len(tree), factors=factors)
    batch = packed.to(model.device)
    logprobs, entropies = token_logprobs(model, batch, entropy=True)
    loss, _ = batch_loss(LOSS, batch, logprobs, entropies)
    loss.backward()
    return loss.detach(), logprobs.detach()


@dataclass(frozen=True)
class Rows:
    """Rollouts as rows: ids (B, L); of the last C tokens of each, old log-probabilities and advantages."""

    ids: torch.Tensor
    old: torch.Tensor
    advantage: torch.Tensor

    @classmethod
    def of(cls, tree: TokenTree, prompt: int, device: str) -> Rows:
        """The rows of a tree whose rollouts are equally long."""
        paths = [tree.path_tokens(rollout) for rollout in range(len(tree.paths))]
        gains = tree.pair_advantage.reshape(len(paths), -1)
        parts = (
            np.stack([tree.input_ids[path] for path in paths]),
            np.stack([tree.old_logprobs[path][prompt:] for path in paths]).astype(np.float32),
            gains.astype(np.float32),
        )
        return cls(*(torch.from_numpy(part).to(device) for part in parts))


def padded(model: Any, rows: Rows, *, everywhere: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The same over rows that share nothing; log-probabilities of shape (B, C).

    Args:
        model: The model.
        rows: The rows.
        everywhere: Compute logits at every token, as a plain call of a model does.
    """
    kept = rows.old.shape[1]
    hidden = model.get_decoder()(input_ids=rows.ids, use_cache=False).last_hidden_state
    project = model.get_output_embeddings()
    asked = slice(-kept - 1, -1)
    logits = project(hidden)[:, asked].float() if everywhere else project(hidden[:, asked]).float()
    logprobs = logits.gather(-1, rows.ids[:, -kept:, None])[..., 0] - logits.logsumexp(-1)
    with torch.no_grad():
        table = logits.log_softmax(-1)
        -(table.exp() * table).sum(-1)
    loss, _ = policy_loss(LOSS, logprobs, rows.old, rows.advantage, torch.ones_like(logprobs))
    loss.backward()
    return loss.detach(), logprobs.detach()


def timed(model: Any, work: Callable[[], Any]) -> float:
    """Seconds of one pass."""
    model.zero_grad(set_to_none=True)
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def compare(case: Case, device: str, rounds: int) -> dict[str, float]:
    """Check that both sides agree, then time them in turns."""
    model = random_model(case.size).to(device)
    if device != "cpu":
        model = model.to(torch.bfloat16)
    rng = np.random.default_rng(0)
    rollouts = case.tree.rollouts()
    prompt = len(case.tree.turns[0].token_ids)
    signs = rng.choice([-1.0, 1.0], len(rollouts))
    advantages = [
        np.full(len(rollout.token_ids), sign) for rollout, sign in zip(rollouts, signs, strict=True)
    ]
    tree = TokenTree.reinforced(case.tree, advantages)
    rows = Rows.of(tree, prompt, device)
    error = agreement(model, tree, rows)
    mine, theirs, ratios, plain = [], [], [], []
    for _ in range(rounds):
        mine.append(timed(model, lambda: ours(model, tree)))
        theirs.append(timed(model, lambda: padded(model, rows)))
        ratios.append(theirs[-1] / mine[-1])
        plain.append(timed(model, lambda: padded(model, rows, everywhere=True)) / mine[-1])
    figures = {
        "parameters": float(parameters(model)),
        "tokens": float(case.tokens),
        "unique": float(case.unique),
        "bound": case.tokens / case.unique,
        "padded_seconds": statistics.median(theirs),
        "seconds": statistics.median(mine),
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "against_all_logits": statistics.median(plain),
        "logprob_error": error,
    }
    gc.collect()
    return figures


def agreement(model: Any, tree: TokenTree, rows: Rows) -> float:
    """Largest difference of a log-probability; raises where gradients differ by more than rounding."""
    model.zero_grad(set_to_none=True)
    loss, logprobs = ours(model, tree)
    gradient = torch.cat([parameter.grad.flatten().float() for parameter in model.parameters()])
    model.zero_grad(set_to_none=True)
    wanted, apart = padded(model, rows)
    expected = torch.cat([parameter.grad.flatten().float() for parameter in model.parameters()])
    exact = model.dtype == torch.float32
    difference = float((gradient - expected).norm() / expected.norm())
    if difference > (1e-4 if exact else 0.1):
        raise SystemExit(f"gradients differ: {difference:.2g} of their norm ({loss:.6f}, {wanted:.6f})")
    # A pair is a trained token seen from one rollout: the order of the padded rows.
    trained = np.unique(tree.pair_token, return_inverse=True)[1]
    return float((logprobs[torch.from_numpy(trained).to(logprobs.device)] - apart.flatten()).abs().max())


def memory(device: str, trained: int) -> float:
    """GiB that a pass needs at a large vocabulary, weights and gradients included."""
    model = random_model("1.4M", vocab_size=VOCABULARY).to(device)
    made = group(8, trained // 4, 4, VOCABULARY)
    tree = TokenTree.reinforced(made, [np.ones(len(rollout.token_ids)) for rollout in made.rollouts()])
    ours(model, tree)
    return torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else peak_gib()


def peaks(device: str) -> dict[str, float]:
    """Peak memory by trained tokens, each in a process of its own."""
    found = {}
    for trained in (256, 1024, 4096):
        command = [sys.executable, "-m", "benchmarks.learner", "--device", device, "--peak", str(trained)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[str(trained)] = float(said.split()[-1])
    return found


def main() -> None:
    """Measure, print the table, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=7, help="passes of each side (default 7)")
    parser.add_argument("--only", nargs="+", help="names of the cases")
    parser.add_argument("--memory", action="store_true", help="peak memory at a large vocabulary instead")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        print(memory(given.device, given.peak))
        return
    if given.memory:
        found = peaks(given.device)
        table(f"peak GiB, vocabulary {VOCABULARY:,}", list(found), [("trained tokens", found)])
        logits = {name: int(name) * VOCABULARY * 4 / 2**30 for name in found}
        finish("learner-memory", {"peak_gib": found, "logits_gib": logits}, {})
        return
    chosen = {
        name: case
        for name, case in cases(given.device == "cuda").items()
        if not given.only or name in given.only
    }
    found = {name: compare(case, given.device, given.rounds) for name, case in chosen.items()}
    columns = (
        "bound",
        "ratio",
        "lowest",
        "highest",
        "against_all_logits",
        "padded_seconds",
        "seconds",
        "logprob_error",
    )
    table("learner against padded rows", columns, list(found.items()))
    finish("learner", {name: figures["ratio"] for name, figures in found.items()} | {"cases": found}, GOALS)


if __name__ == "__main__":
    main()
