"""How many tokens a second a run on 8 to 1,024 accelerators would sample, computed, not measured.

Run: python -m benchmarks.schedule [--model qwen2.5-7b] [--costs costs.json] [--rollouts 1024] [--group 16]

A synchronous step is sampled by vLLM servers, event by event (turns of a long-tailed length, waits for
tools), then gathered and scored, and learned with FSDP2 in parts of trees; the new weights
go to the servers. Accelerators are split between servers and learner so that a step is shortest.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import finish, table
from toolwise.learning.distributed import shares
from toolwise.systems.gpus import CARD, ROOM, learning_gpus, serving_gpus
from toolwise.systems.memory import ModelSize, memory, model_size

COLUMNS = ("servers", "learners", "sampling_s", "learning_s", "rest_s", "tokens_per_s", "bound_by")
SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Costs:
    """What a stage costs. A JSON file with some of the names replaces them by your own measurements.

    Attributes:
        flops: bfloat16 a second of an accelerator. H100 SXM data sheet: 1,979e12 with sparsity, half without.
        bandwidth: Bytes a second of its memory. H100 SXM data sheet: 3.35 TB/s.
        node: Bytes a second each way to its neighbours. NVLink 4, H100 data sheet: 900 GB/s both ways.
        network: Bytes a second each way to other nodes. DGX H100: one 400 Gb/s port each.
        node_size: Accelerators of a node (DGX H100: 8).
        learning_share: Of `flops` that learning reaches. Llama 3 (arXiv 2407.21783, table 4) reports 0.38 to
            0.43; packs of uneven trees are assumed to do a little worse.
        decoding_share: Of `bandwidth` that decoding reaches: an assumption.
        decoding_step: Seconds that a server spends on each decoding step beside the model: an assumption.
        link_share: Of `node` and `network` that collectives reach: an assumption.
        hop: Seconds that a ring collective takes for each rank beside the bytes: an assumption.
        host: Bytes a second of the objects that ranks send each other through gloo: an assumption.
        bookkeeping: Seconds a token for reading, rewarding, crediting and laying out on the host, the same on
            every rank: measured by ``--measure`` (an AMD EPYC core).
        disk: Bytes a second at which the first rank writes a checkpoint: an assumption.
        checkpoint_every: Steps.
        prompt: Tokens; an assumption, as all that follow.
        turns: Of a rollout.
        turn: Mean tokens of a turn.
        observation: Tokens of a tool's result.
        spread: Of the logarithm of a turn's length (log-normal).
        wait: Mean seconds of a tool call (exponential).
        longest: Most tokens of a turn.
        token_budget: Of a micro-batch.
    """

    flops: float = 989e12
    bandwidth: float = 3.35e12
    node: float = 450e9
    network: float = 50e9
    node_size: int = 8
    learning_share: float = 0.35
    decoding_share: float = 0.6
    decoding_step: float = 0.004
    link_share: float = 0.7
    hop: float = 3e-6
    host: float = 1e9
    bookkeeping: float = 3.3e-7
    disk: float = 2e9
    checkpoint_every: int = 25
    prompt: int = 500
    turns: int = 4
    turn: int = 400
    observation: int = 300
    spread: float = 0.8
    wait: float = 1.0
    longest: int = 4096
    token_budget: int = 8192


@dataclass(frozen=True)
class Rollouts:
    """What a step samples: lengths of turns and waits after them, shape (rollouts, turns)."""

    lengths: np.ndarray
    waits: np.ndarray
    group: int

    @classmethod
    def drawn(cls, costs: Costs, rollouts: int, group: int, seed: int = 0) -> Rollouts:
        """Log-normal lengths with the mean `costs.turn`, exponential waits; none after the last turn."""
        rng = np.random.default_rng(seed)
        mu = math.log(costs.turn) - costs.spread**2 / 2
        lengths = np.clip(rng.lognormal(mu, costs.spread, (rollouts, costs.turns)), 1, costs.longest)
        waits = rng.exponential(costs.wait, (rollouts, costs.turns))
        waits[:, -1] = 0.0
        return cls(lengths.astype(np.int64), waits, group)

    def pieces(self, costs: Costs) -> np.ndarray:
        """Tokens of the parts that trees are cut into: a prompt, and rollouts up to the token budget."""
        own = self.lengths.sum(1) + (costs.turns - 1) * costs.observation
        found: list[int] = []
        for tree in own.reshape(-1, self.group):
            part = costs.prompt
            for length in tree:
                if part > costs.prompt and part + length > costs.token_budget:
                    found.append(part)
                    part = costs.prompt
                part += int(length)
            found.append(part)
        return np.array(found)


def decode_seconds(costs: Costs, size: ModelSize, gpus: int, rows: int) -> float:
    """One decoding step of a server: reading weights, keys and values, or multiplying."""
    context = costs.prompt + costs.turns * (costs.turn + costs.observation) / 2
    read = 2.0 * size.parameters + 2.0 * size.keys_and_values * context * rows
    read /= gpus * costs.bandwidth * costs.decoding_share
    multiplied = 2.0 * size.parameters * rows / (gpus * costs.flops * costs.learning_share)
    return max(read, multiplied) + costs.decoding_step


def server_seconds(costs: Costs, size: ModelSize, gpus: int, lengths: np.ndarray, waits: np.ndarray) -> float:
    """Seconds until one server has finished its rollouts; they decode together and wait alone."""
    room = gpus * ROOM * CARD - 2.0 * size.parameters
    context = costs.prompt + costs.turns * (costs.turn + costs.observation)
    most = max(1, int(room / (2.0 * size.keys_and_values * context)))
    now = progress = 0.0  # seconds; tokens that each decoding row has got
    ready = [(0.0, number, 0) for number in range(len(lengths))]  # (when, rollout, turn)
    decoding: list[tuple[float, int, int]] = []  # (progress at which the turn ends, rollout, turn)
    while ready or decoding:
        while ready and ready[0][0] <= now and len(decoding) < most:
            _, number, turn = heapq.heappop(ready)
            heapq.heappush(decoding, (progress + float(lengths[number, turn]), number, turn))
        if not decoding:
            now = ready[0][0]
            continue
        step = decode_seconds(costs, size, gpus, len(decoding))
        until = (decoding[0][0] - progress) * step
        if ready and now < ready[0][0] < now + until and len(decoding) < most:
            progress += (ready[0][0] - now) / step
            now = ready[0][0]
            continue
        now += until
        progress, number, turn = heapq.heappop(decoding)
        if turn + 1 < lengths.shape[1]:
            heapq.heappush(ready, (now + float(waits[number, turn]), number, turn + 1))
    return now


def sampling(costs: Costs, size: ModelSize, gpus: int, rollouts: Rollouts) -> tuple[float, str]:
    """Seconds until the last server is done, and what bounds it."""
    each = serving_gpus(size)
    servers = min(gpus // each, len(rollouts.lengths))
    seconds = max(
        server_seconds(costs, size, each, rollouts.lengths[at::servers], rollouts.waits[at::servers])
        for at in range(servers)
    )
    alone = rollouts.lengths.sum(1) * decode_seconds(costs, size, each, 1) + rollouts.waits.sum(1)
    return seconds, "long rollout" if alone.max() > 0.7 * seconds else "decoding"


def learning(
    costs: Costs, size: ModelSize, gpus: int, rollouts: Rollouts, reference: bool
) -> tuple[float, str]:
    """Seconds of forward and backward passes with FSDP2, and what bounds them."""
    parts = rollouts.pieces(costs)
    loads = [parts[part] for part in shares(parts.tolist(), gpus)]
    # Forward, backward and the layers anew: 8 operations a weight and token; the reference: 2 more.
    token = (10.0 if reference else 8.0) * size.parameters / (costs.flops * costs.learning_share)
    most, mean = max(load.sum() for load in loads) * token, parts.sum() / gpus * token
    passes = max(math.ceil(load.sum() / costs.token_budget) for load in loads if len(load))
    link = costs.node if gpus <= costs.node_size else costs.network
    # Gathered twice as bfloat16, gradients reduced as float32; the reference is gathered once more.
    moved = (10.0 if reference else 8.0) * size.parameters * (gpus - 1) / gpus / (link * costs.link_share)
    moved += (4 if reference else 3) * size.layers * costs.hop * (gpus - 1)
    seconds = max(most, passes * moved)
    if passes * moved > most:
        return seconds, "network"
    return seconds, "whole rollouts" if most > 1.5 * mean else "learning"


def activations(size: ModelSize, tokens: int) -> float:
    """Bytes that a micro-batch keeps for the backward pass, with gradient checkpointing."""
    return memory(size, "full", "sft", token_budget=tokens)["activations"]


def step(costs: Costs, size: ModelSize, gpus: int, rollouts: Rollouts, *, reference: bool) -> dict[str, Any]:
    """The shortest step that so many accelerators can do; empty where they are too few."""
    least, server = learning_gpus(size, "full", "rl") or math.inf, serving_gpus(size)
    parts = rollouts.pieces(costs)
    tokens = float(parts.sum())
    rest = {
        "scoring": tokens * (14.0 / costs.host + costs.bookkeeping),
        "new weights": 2.0 * size.parameters / (costs.network * costs.link_share),
        "checkpoints": 12.0 * size.parameters / costs.disk / costs.checkpoint_every,
    }
    best: dict[str, Any] = {}
    for eighth in range(1, 8):
        servers = gpus * eighth // 8 // server * server
        learners = gpus - servers
        if not servers or learners < least:
            continue
        sampled, why = sampling(costs, size, servers, rollouts)
        learned, because = learning(costs, size, learners, rollouts, reference)
        total = sampled + learned + sum(rest.values())
        if best and total >= best["step_s"]:
            continue
        stages = {why: sampled, because: learned, **rest}
        best = {
            "servers": servers,
            "learners": learners,
            "sampling_s": sampled,
            "learning_s": learned,
            "rest_s": sum(rest.values()),
            "step_s": total,
            "sampling_bound_by": why,
            "learning_bound_by": because,
            "activations_gb": activations(size, int(parts.max())) / 1e9,
            "tokens_per_s": float(rollouts.lengths.sum()) / total,
            "bound_by": max(stages, key=lambda name: stages[name]),
        }
    return best


def measured_bookkeeping() -> float:
    """Seconds of this processor a token for what every rank does with all rollouts of a step."""
    import pickle
    import time

    from toolwise.advantages import GRPOConfig, build_advantage
    from toolwise.core import Reward, RolloutEnd, RolloutTree, StopReason, Task, Turn
    from toolwise.learning import TokenTree, score

    ids, logprobs = tuple(range(1000, 3000)), tuple(-index / 7 for index in range(2000))
    trees = []
    for number in range(8):
        task = Task(f"t{number}", ({"role": "user", "content": "?"},))
        paths = [[Turn("assistant", ids, sampled=True, logprobs=logprobs, answer="x")] for _ in range(8)]
        ends = [RolloutEnd(0, sample, task.id, StopReason.ANSWERED) for sample in range(8)]
        trees.append(RolloutTree.from_paths(task, Turn("prompt", ids[:500]), paths, ends))
    raw = pickle.dumps(trees)
    begun = time.process_time()
    found = pickle.loads(raw)
    flat = [TokenTree.reinforced(tree) for tree in found]
    advantage = build_advantage(GRPOConfig())
    experience = score(
        found, lambda _, group: [Reward(float(at)) for at in range(len(group))], advantage, flat=flat
    )
    experience.token_trees()
    return (time.process_time() - begun) / (8 * 8 * 2000)


def main() -> None:
    """Compute the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["qwen2.5-7b", "qwen2.5-32b", "qwen2.5-72b"])
    parser.add_argument("--costs", type=Path, help="JSON with some of the names of Costs")
    parser.add_argument("--rollouts", type=int, default=1024, help="of a step")
    parser.add_argument("--group", type=int, default=16, help="rollouts of a task: one tree")
    parser.add_argument("--no-reference", action="store_true")
    parser.add_argument("--measure", action="store_true", help="measure the bookkeeping on this processor")
    options = parser.parse_args()
    costs = Costs()
    if options.costs is not None:
        costs = replace(costs, **json.loads(options.costs.read_text(encoding="utf-8")))
    if options.measure:
        costs = replace(costs, bookkeeping=measured_bookkeeping())
    rollouts = Rollouts.drawn(costs, options.rollouts // options.group * options.group, options.group)
    figures: dict[str, Any] = {}
    for name in options.model:
        size = model_size(name)
        rows = [
            (str(gpus), found)
            for gpus in SIZES
            if (found := step(costs, size, gpus, rollouts, reference=not options.no_reference))
        ]
        if not rows:
            continue
        table(name, COLUMNS, rows)
        stops = stops_scaling([(int(gpus), found["step_s"]) for gpus, found in rows])
        print(f"twice the accelerators bring less than a quarter more from {stops or 'none of these'} on\n")
        figures[name] = {"sizes": dict(rows), "stops_scaling_at": stops}
    print("computed from the costs above, not measured")
    finish("schedule", {"costs": asdict(costs), "models": figures}, {})


def stops_scaling(steps: list[tuple[int, float]]) -> int | None:
    """The first size from which twice as many accelerators shorten a step to no less than four fifths."""
    for (gpus, seconds), (_, doubled) in pairwise(steps):
        if doubled > 0.8 * seconds:
            return gpus
    return None


if __name__ == "__main__":
    main()
