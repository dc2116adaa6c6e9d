"""One rank of several, or the only process: ``served_ranks.py MODEL SERVER REFUSING OUT``.

Tasks are played on a server that the first rank alone asks; then on a server that refuses. What a rank gets
is written to ``OUT/rank-NUMBER.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from toolwise.core import RolloutTree, Task, ToolwiseError
from toolwise.learning import DistributedConfig, joined_world
from toolwise.rollout import CollectorConfig, Limits
from toolwise.sampling import SamplingParams
from toolwise.sampling.config import VLLMConfig
from toolwise.sampling.vllm import VLLMSampler
from toolwise.sampling.vllm_pool import ModelFacts
from toolwise.systems.distributing import SharedPolicy
from toolwise.systems.policy import load_policy
from toolwise.systems.recipe import RLRecipe

TASKS = [
    Task(f"sum-{number}", ({"role": "user", "content": f"What is {number} + 12?"},), ("calculator",))
    for number in range(5)
]
ROLLOUT = CollectorConfig(group_size=3, limits=Limits(max_turns=2, max_turn_tokens=6))
TIMEOUT = 300.0  # a machine under load starts one rank long after the other


def plain(trees: list[RolloutTree]) -> list[dict]:
    """Trees as records, without what a clock says."""
    records = [tree.to_record() for tree in trees]
    for record in records:
        for turn in record["turns"]:
            turn.pop("seconds", None)
    return records


def main(model: str, server: str, refusing: str, out: Path) -> None:
    config = DistributedConfig(timeout=TIMEOUT)
    recipe = RLRecipe.model_validate({"model": {"source": model}, "tools": [{"type": "calculator"}]})
    with joined_world(config) as world:
        policy = load_policy(recipe, tuple)
        shared = SharedPolicy.of(policy, world, config, samples=True)
        facts = ModelFacts(policy.context, policy.model.config.vocab_size)

        def collector_on(url: str):
            servers = VLLMConfig(type="vllm", urls=[url], patience=60)
            sampler = VLLMSampler(servers, [url], facts) if world.first else None
            return shared.collector(ROLLOUT, 7, sampler)

        collector, heard = collector_on(server), []
        trees = collector.collect(TASKS, run=("train", 1), done=lambda tree: heard.append(tree.task.id))
        later = collector.collect(TASKS[2:], run=("train", 1), places=range(2, len(TASKS)))
        greedy = SamplingParams(temperature=0.0)
        found = {
            "collector": type(collector).__name__,
            "trees": plain(trees),
            "heard": sorted(heard),
            "later": plain(later),
            "greedy": plain(collector.collect(TASKS, run=("evaluate",), samples=1, params=greedy)),
        }
        try:
            collector_on(refusing).collect(TASKS, run=("train", 1))
        except ToolwiseError as error:
            found["refused"] = error.problem
        (out / f"rank-{world.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]))
