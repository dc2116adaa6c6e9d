"""The sides of `benchmarks.sft`: ``python -m benchmarks.sft_sides {toolwise,trl,parity} …``."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.folders import words
from benchmarks.peers import StepClock, quiet_trl, run_side, say

LENGTH = 2048
"""Tokens of a packed row, and what both sides may put into one pass."""
ROWS = 4
"""Packed rows of a step."""
EXAMPLES = 512
RATE = 1e-5


def demonstrations() -> list[tuple[str, str]]:
    """Questions and answers, from some tens to some hundreds of words."""
    rng = random.Random(0)
    return [
        (words(round(rng.lognormvariate(4.3, 0.7)), rng), words(round(rng.lognormvariate(4.3, 0.7)), rng))
        for _ in range(EXAMPLES)
    ]


def trees_of(tokenizer: Any) -> list[Any]:
    """The demonstrations as Toolwise learns them."""
    from toolwise.dialects import HermesDialect
    from toolwise.learning import TokenTree
    from toolwise.rollout import demonstration_trees

    dialect = HermesDialect(tokenizer)
    return [
        TokenTree.supervised(tree)
        for number, (asked, answer) in enumerate(demonstrations())
        for tree in demonstration_trees(
            str(number),
            [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}],
            (),
            dialect,
        )
    ]


def toolwise(folder: Path, steps: int) -> None:
    """Train with Toolwise."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from toolwise.learning import Learner, LearnerConfig, RunFolder, train_supervised

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa")
    trees = trees_of(AutoTokenizer.from_pretrained(folder))
    batch = round(ROWS * LENGTH * len(trees) / sum(map(len, trees)))
    clock, tokens = StepClock(), []

    def progress(step: int, steps: int, metrics: Any) -> None:
        clock.tick()
        tokens.append(metrics["unique_tokens"])

    with tempfile.TemporaryDirectory() as scratch:
        train_supervised(
            Learner(model, LearnerConfig(learning_rate=RATE, token_budget=ROWS * LENGTH // 2)),
            trees,
            run=RunFolder(Path(scratch)),
            batch_size=batch,
            seed=0,
            steps=steps + 1,
            checkpoint_every=steps + 1,
            progress=progress,
        )
    _said(clock, sum(tokens[1:]) / steps)


def trainer_of(folder: Path, out: str, callbacks: list[Any], *, packing: bool, **settings: Any) -> Any:
    """TRL's trainer on the same folder and demonstrations."""
    quiet_trl()
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = [
        {
            "prompt": [{"role": "user", "content": asked}],
            "completion": [{"role": "assistant", "content": answer}],
        }
        for asked, answer in demonstrations()
    ]
    config = SFTConfig(
        output_dir=out,
        packing=packing,
        max_length=LENGTH,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        seed=0,
        **settings,
    )
    return SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa"),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(folder),
        callbacks=callbacks,
    )


def trl(folder: Path, steps: int) -> None:
    """Train with TRL, packed."""
    from transformers import TrainerCallback

    clock, seen = StepClock(), []

    class Ticks(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *given: Any, **more: Any) -> None:
            clock.tick()
            seen.append(trainer._total_train_tokens)

    with tempfile.TemporaryDirectory() as scratch:
        half = {"per_device_train_batch_size": ROWS // 2, "gradient_accumulation_steps": 2}
        trainer = trainer_of(folder, scratch, [Ticks()], packing=True, max_steps=steps + 1, **half)
        trainer.train()
    _said(clock, (seen[-1] - seen[0]) / steps)


def parity(folder: Path, steps: int) -> None:
    """One demonstration through both losses: how far loss and gradient are apart, as shares of theirs."""
    import torch

    from toolwise.learning import SupervisedLossConfig, aggregation_factors, batch_loss, pack, token_logprobs

    with tempfile.TemporaryDirectory() as scratch:
        trainer = trainer_of(folder, scratch, [], packing=False, per_device_train_batch_size=1)
        row = trainer.train_dataset[0]
        batch = trainer.data_collator([row])
        model = trainer.model
        model.eval()
        tree = trees_of(trainer.processing_class)[0]
        # TRL renders what follows the end of a turn, a line break, as part of the completion.
        batch = {name: value[:, : len(tree)] for name, value in batch.items()}
        theirs = trainer.compute_loss(model, batch)
        theirs.backward()
    wanted = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    model.zero_grad()
    ids = list(row["input_ids"])[: len(tree)]
    if tree.input_ids.tolist() != ids:
        raise SystemExit("the two sides read the demonstration differently")
    config = SupervisedLossConfig()
    (packed,) = pack([tree], LENGTH, factors=aggregation_factors([tree], config.aggregation, config.horizon))
    logprobs, entropies = token_logprobs(model, packed)
    mine, _ = batch_loss(config, packed, logprobs, entropies)
    mine.backward()
    found = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    say(
        {
            "extra_tokens": len(row["input_ids"]) - len(tree),
            "loss_error": abs(float(mine.detach()) / float(theirs.detach()) - 1),
            "gradient_error": float((found - wanted).norm() / wanted.norm()),
        }
    )


def _said(clock: StepClock, tokens: float) -> None:
    say(
        {
            "tokens_per_second": tokens / clock.seconds,
            "tokens_per_step": tokens,
            "seconds_per_step": clock.seconds,
        }
    )


if __name__ == "__main__":
    run_side(__doc__, {"toolwise": toolwise, "trl": trl, "parity": parity}, "steps")
