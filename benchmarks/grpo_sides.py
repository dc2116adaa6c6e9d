"""The sides of `benchmarks.vs_trl`: ``python -m benchmarks.grpo_sides {toolwise,trl,parity} …``."""

from __future__ import annotations

import argparse
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.folders import words
from benchmarks.peers import StepClock, quiet_trl, say

GROUP = 8
RATE = 1e-6


@dataclass(frozen=True)
class Workload:
    """What a step collects and learns from.

    Attributes:
        prompt: Words of the prompt, about a token each.
        completion: Tokens of a completion; a model of random weights rarely ends one earlier.
        tasks: Groups of a step.
    """

    prompt: int
    completion: int
    tasks: int

    def prompts(self, count: int = 64) -> list[str]:
        """All prompts, the same on both sides."""
        rng = random.Random(0)
        return [words(self.prompt, rng) for _ in range(count)]


WORKLOADS = {
    "tool_shaped": Workload(prompt=960, completion=120, tasks=4),
    "single_turn": Workload(prompt=16, completion=128, tasks=8),
}
"""ToolRL's shape, a thousand tokens of schemas and one short answer; and one with no shared work to save."""


def score(text: str) -> float:
    """Something that differs between completions: the share of vowels."""
    return sum(text.count(letter) for letter in "aeiou") / max(1, len(text))


def toolwise(folder: Path, work: Workload, steps: int) -> None:
    """Train with Toolwise."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from toolwise.advantages import GRPOConfig, build_advantage
    from toolwise.core import Reward, Task
    from toolwise.dialects import HermesDialect
    from toolwise.learning import Learner, LearnerConfig, RunFolder, train_policy
    from toolwise.rollout import Collector, CollectorConfig, Limits
    from toolwise.sampling import EmbeddedSampler
    from toolwise.tools import Toolbox

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sampler = EmbeddedSampler(model)
    limits = Limits(max_turns=1, max_turn_tokens=work.completion)
    config = CollectorConfig(tasks_per_step=work.tasks, group_size=GROUP, limits=limits)
    collector = Collector(sampler, HermesDialect(tokenizer), Toolbox([]), config, 0)
    pool = [Task(f"t{n}", ({"role": "user", "content": text},)) for n, text in enumerate(work.prompts())]
    clock, tokens = StepClock(), []

    def collect(step: int) -> Any:
        model.eval()
        sampler.update_weights()
        return collector.collect(collector.batch(pool, step - 1), run=("train", step))

    def reward(task: Any, rollouts: Any) -> list[Reward]:
        return [Reward(score(rollout.completion)) for rollout in rollouts]

    def progress(step: int, steps: int, metrics: Any) -> None:
        clock.tick()
        tokens.append(metrics["sampled_tokens"])

    with tempfile.TemporaryDirectory() as scratch:
        train_policy(
            Learner(model, LearnerConfig(learning_rate=RATE)),
            collect,
            reward,
            build_advantage(GRPOConfig()),
            run=RunFolder(Path(scratch)),
            steps=steps + 1,
            seed=0,
            checkpoint_every=steps + 1,
            tokenizer=tokenizer,
            progress=progress,
        )
    _said(clock, work, sum(tokens[1:]) / steps)


def trainer_of(folder: Path, work: Workload, steps: int, out: str, callbacks: list[Any]) -> Any:
    """TRL's trainer on the same folder and prompts."""
    quiet_trl()
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    def reward(completions: Any, **columns: Any) -> list[float]:
        return [score(completion[0]["content"]) for completion in completions]

    settings = GRPOConfig(
        output_dir=out,
        per_device_train_batch_size=GROUP,
        gradient_accumulation_steps=work.tasks,
        num_generations=GROUP,
        max_completion_length=work.completion,
        max_steps=steps + 1,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        beta=0.0,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        seed=0,
    )
    rows = [{"prompt": [{"role": "user", "content": text}]} for text in work.prompts()]
    return GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa"),
        reward_funcs=reward,
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(folder, padding_side="left"),
        callbacks=callbacks,
    )


def trl(folder: Path, work: Workload, steps: int) -> None:
    """Train with TRL."""
    from transformers import TrainerCallback

    clock, lengths = StepClock(), []

    class Ticks(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *given: Any, **more: Any) -> None:
            clock.tick()
            lengths.append(trainer._metrics["train"]["completions/mean_length"][-1])

    with tempfile.TemporaryDirectory() as scratch:
        trainer = trainer_of(folder, work, steps, scratch, [Ticks()])
        trainer.train()
    _said(clock, work, sum(lengths[1:]) / steps * GROUP * work.tasks)


def parity(folder: Path, work: Workload, steps: int) -> None:
    """One batch of TRL's through both losses: how far loss and gradient are apart, as shares of theirs."""
    import dataclasses

    import torch

    from toolwise.core import RolloutEnd, RolloutTree, StopReason, Task, Turn
    from toolwise.learning import TokenTree, aggregation_factors, batch_loss, pack, token_logprobs
    from toolwise.learning.losses import PPOLossConfig

    with tempfile.TemporaryDirectory() as scratch:
        trainer = trainer_of(folder, work, steps, scratch, [])
        model = trainer.model
        inputs = [trainer.train_dataset[0]] * GROUP
        model.train()
        batch = trainer._generate_and_score_completions(inputs)
        trainer.current_gradient_accumulation_steps = work.tasks
        theirs = trainer._compute_loss(model, batch)
        theirs.backward()
    wanted = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    model.zero_grad()
    prompt = batch["prompt_ids"][0][batch["prompt_mask"][0].bool()].tolist()
    turns, gains = [Turn("prompt", tuple(prompt))], []
    for ids, mask, gain in zip(
        batch["completion_ids"], batch["completion_mask"], batch["advantages"], strict=True
    ):
        tokens = tuple(ids[mask.bool()].tolist())
        turns.append(Turn("assistant", tokens, sampled=True, logprobs=(0.0,) * len(tokens)))
        gains.append(torch.full((len(prompt) + len(tokens),), float(gain)).double().numpy())
    ends = tuple(RolloutEnd(n, n - 1, "t", StopReason.ANSWERED) for n in range(1, GROUP + 1))
    task = Task("t", ({"role": "user", "content": "?"},))
    made = RolloutTree(task, tuple(turns), (-1, *[0] * GROUP), ends)
    (packed,) = pack([TokenTree.reinforced(made, gains)], 1 << 20)
    with torch.no_grad():
        old, _ = token_logprobs(model, packed)
    # As TRL does, log-probabilities at sampling time are taken to be those of the present weights.
    index = torch.zeros(len(made.turns[0].token_ids) + sum(len(t.token_ids) for t in turns[1:])).double()
    index[packed.source_tokens] = old.double()
    tree = dataclasses.replace(TokenTree.reinforced(made, gains), old_logprobs=index.numpy())
    loss = PPOLossConfig(dual_clip=None)
    (packed,) = pack([tree], 1 << 20, factors=aggregation_factors([tree], "token-mean", None))
    logprobs, entropies = token_logprobs(model, packed, entropy=True)
    mine, _ = batch_loss(loss, packed, logprobs, entropies)
    mine.backward()
    found = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    scale = float(batch["advantages"].abs().mean())
    say(
        {
            "loss_error": abs(float(mine.detach()) - float(theirs.detach())) / scale,
            "gradient_error": float((found - wanted).norm() / wanted.norm()),
        }
    )


def _said(clock: StepClock, work: Workload, tokens: float) -> None:
    samples = work.tasks * GROUP
    say(
        {
            "samples_per_second": samples / clock.seconds,
            "tokens_per_second": tokens / clock.seconds,
            "seconds_per_step": clock.seconds,
            "sampled_tokens": tokens,
        }
    )


def main() -> None:
    """Run one side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("toolwise", "trl", "parity"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("workload", choices=list(WORKLOADS))
    parser.add_argument("steps", type=int)
    given = parser.parse_args()
    side = {"toolwise": toolwise, "trl": trl, "parity": parity}[given.side]
    side(given.folder, WORKLOADS[given.workload], given.steps)


if __name__ == "__main__":
    main()
