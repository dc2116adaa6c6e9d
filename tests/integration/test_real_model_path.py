"""A model folder as people have it: SFT, then RL with tools, by the command line; then transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from model_folders import write_model

FAST = ("--set", "learner.learning_rate=1e-2", "--set", "training.batch_size=8")


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
def test_sft_then_rl_then_transformers(kind, tmp_path, command, demonstrations_file, tasks_file):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    start = write_model(tmp_path / kind, kind)
    sft, rl = tmp_path / "sft", tmp_path / "rl"
    arguments = ("train", "sft", "sft", "--model", start, "--tasks", demonstrations_file, "--out", sft, *FAST)
    done = command(*arguments, "--set", "training.steps=60", "--set", "learner.schedule=constant")
    assert done.exit_code == 0, done.output
    losses = [line["loss"] for line in lines(sft)]
    assert losses[-1] < 0.3 < losses[0]

    # The tiny model knows the eight conversations by heart now, so that in RL its calls are real ones.
    arguments = ("train", "rl", "grpo", "--model", sft, "--tasks", tasks_file, "--out", rl)
    small = ["rollout.tasks_per_step=3", "rollout.group_size=4", "rollout.limits.max_turn_tokens=48"]
    small += ["training.steps=3", "training.checkpoint_every=2", "learner.learning_rate=1e-3"]
    small += ["rollout.limits.max_turns=3", "validation.share=0.2", "training.validate_every=2"]
    done = command(*arguments, *(part for setting in small for part in ("--set", setting)))
    assert done.exit_code == 0, done.output
    record = lines(rl)
    assert [line["step"] for line in record] == [1, 2, 3]
    assert max(line["calls_per_rollout"] for line in record) > 0.5
    assert ["validation_accuracy" in line for line in record] == [True, False, True]
    rollouts = [json.loads(line) for line in (rl / "rollouts" / "step_000001.jsonl").read_text().splitlines()]
    results = [result for rollout in rollouts for turn in rollout["turns"] for result in turn["results"]]
    assert any(result["name"] == "calculator" and result["error"] is None for result in results)
    assert (rl / "report.html").is_file()

    checkpoint = rl / "checkpoints" / "step_000003"
    loaded = AutoModelForCausalLM.from_pretrained(checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    assert type(loaded).__name__ == {"qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}[kind]
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(start).chat_template

    # The sampler's log-probabilities in the last step are those of step 2's weights, not of the loaded ones;
    # what was loaded must give the very logits that the policy gives when Toolwise loads it.
    from toolwise.systems import load_model

    policy, own = load_model(str(rl))
    ids = own("What is 3 + 12?", return_tensors="pt").input_ids
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, policy(ids).logits)
        before = AutoModelForCausalLM.from_pretrained(start)(ids).logits
    assert not torch.allclose(loaded(ids).logits, before, atol=1e-2)

    # A second run of the same command has nothing left to do and changes nothing.
    again = command(*arguments, *(part for setting in small for part in ("--set", setting)))
    assert again.exit_code == 0
    assert "nothing left to do" in again.output
    assert lines(rl) == record


def test_sampled_logprobs_are_those_of_transformers(tmp_path, command, model_folder, tasks_file):
    """One RL step from a folder: what was recorded at sampling time is what the folder's model says."""
    from transformers import AutoModelForCausalLM

    run = tmp_path / "run"
    done = command(
        *("train", "rl", "grpo", "--model", model_folder, "--tasks", tasks_file, "--out", run),
        *("--set", "training.steps=1", "--set", "rollout.tasks_per_step=2"),
        *("--set", "rollout.group_size=2", "--set", "rollout.limits.max_turn_tokens=12"),
    )
    assert done.exit_code == 0, done.output
    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    compared = 0
    for line in (run / "rollouts" / "step_000001.jsonl").read_text().splitlines():
        context: list[int] = []
        for turn in json.loads(line)["turns"]:
            ids = [*context, *turn["token_ids"]]
            if turn["sampled"]:
                with torch.no_grad():
                    table = model(torch.tensor([ids])).logits[0].log_softmax(-1)
                for place, (token, logprob) in enumerate(
                    zip(turn["token_ids"], turn["logprobs"], strict=True), start=len(context)
                ):
                    assert table[place - 1, token].item() == pytest.approx(logprob, abs=1e-4)
                    compared += 1
            context = ids
    assert compared >= 40


def test_evaluate_writes_results_and_prints_intervals(tmp_path, command, model_folder, tasks_file):
    out = tmp_path / "evaluation"
    arguments = ("evaluate", "--model", model_folder, "--tasks", tasks_file, "--out", out, "--policy")
    limits = ("--set", "rollout.limits.max_turn_tokens=8")
    done = command(*arguments, "random", *limits)
    assert done.exit_code == 0, done.output
    (record,) = json.loads((out / "results.json").read_text())
    assert (record["policy"], record["seed"], record["questions"]) == ("random", 0, 6)
    assert record["accuracy"] == 0.0
    assert record["underuse"] == 1.0
    assert record["boundary_agreement"] == 0.5
    assert record["intervals"]["accuracy"][1] > 0.3
    rollouts = [json.loads(line) for line in (out / "rollouts" / "random.jsonl").read_text().splitlines()]
    assert [rollout["task_id"] for rollout in rollouts] == [f"sum-{number}" for number in range(6)]
    assert "random" in done.output
    assert "underuse" in done.output
    # The same policy again replaces its record, another one stands beside it.
    assert command(*arguments, "random", *limits).exit_code == 0
    assert command(*arguments, "other", *limits).exit_code == 0
    records = json.loads((out / "results.json").read_text())
    assert [found["policy"] for found in records] == ["random", "other"]
    assert command("report", out).exit_code == 0


def test_measures_of_the_boundary_are_left_out_where_tasks_do_not_state_it(tmp_path, command, model_folder):
    tasks = tmp_path / "plain.jsonl"
    tasks.write_text('{"id": "a", "prompt": "What is 1 + 1?", "answer": "2"}\n')
    done = command(
        *("evaluate", "--model", model_folder, "--tasks", tasks, "--out", tmp_path / "out"),
        *("--set", "rollout.limits.max_turn_tokens=4"),
    )
    assert done.exit_code == 0, done.output
    assert "accuracy" in done.output
    assert "overuse" not in done.output
    assert "within" not in done.output


def test_rollout_shows_the_turns_and_mask_shows_what_is_trained(
    command, model_folder, tasks_file, demonstrations_file
):
    limits = ("--set", "rollout.limits.max_turn_tokens=6")
    done = command("rollout", "--model", model_folder, "--tasks", tasks_file, "--limit", 1, *limits)
    assert done.exit_code == 0, done.output
    assert "What is 0 + 12?" in done.output
    assert "■" in done.output
    assert "expected: 12" in done.output

    done = command("show", "mask", "sft", "--model", model_folder, "--tasks", demonstrations_file)
    assert done.exit_code == 0, done.output
    trained = "".join(part.split("⟧")[0] for part in done.output.split("⟦")[1:-1])
    said = '<think>\nadd them\n</think>\n\n<tool_call>\n{"name": "calculator", "arguments": '
    assert trained == said + '{"expression": "0 + 12"}}\n</tool_call><|im_end|>12<|im_end|>'

    done = command(
        *("show", "mask", "grpo", "--model", model_folder, "--tasks", tasks_file, "--samples", 2, *limits)
    )
    assert done.exit_code == 0, done.output
    assert "sum-0, sample 1: 6 of" in done.output
