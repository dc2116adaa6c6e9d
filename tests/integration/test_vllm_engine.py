"""Training through a real vLLM server on the CPU, which is killed amid a batch; see `vllm_environment`."""

import contextlib
import json
import os
import re
import signal
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from vllm_environment import find_python

from toolwise.sampling.vllm import VLLMSampler
from toolwise.systems.evaluating import evaluate_model
from toolwise.systems.models import load_model
from toolwise.systems.recipe import RLRecipe
from toolwise.systems.training import train_rl

STEPS, TASKS, GROUP = 4, 4, 6
QUIET = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_CI_ENV": "1",  # no warm-up
    "TORCHDYNAMO_DISABLE": "1",  # nothing is compiled, so no compiler is needed
    "OMP_NUM_THREADS": "1",
}


def recipe_for(python, tasks_file):
    start = {"python": str(python), "dtype": "float32", "eager": True, "startup": 3000, "environment": QUIET}
    return RLRecipe.model_validate(
        {
            # vLLM's attention on the CPU takes heads of 32 numbers or more.
            "model": {"init": {"hidden_size": 64, "layers": 2, "heads": 2, "context": 512}},
            "tasks": {"path": str(tasks_file)},
            "tools": [{"type": "calculator"}],
            "sampler": {"type": "vllm", "start": start, "patience": 3000, "timeout": 1200},
            "rollout": {
                "tasks_per_step": TASKS,
                "group_size": GROUP,
                "temperature": 0.8,
                "limits": {"max_turn_tokens": 96, "max_turns": 2},
            },
            "learner": {"learning_rate": 0.01},
            "reward": {"type": "exact_match", "format_weight": 0.5},
            "training": {"steps": STEPS, "checkpoint_every": 1, "written_trees": TASKS},
        }
    )


def kill_amid_a_batch(url, done):
    """``kill -9`` of the server's main process, as soon as it says that it has requests under way."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    running = 0.0
    while not running:
        with opener.open(url + "/metrics") as answer:
            found = re.search(rb"^vllm:num_requests_running\{.*\} ([0-9.]+)$", answer.read(), re.MULTILINE)
        running = float(found[1]) if found else 0.0
        time.sleep(0.005)
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[1:2] == [b"-m"] and url.rpartition(":")[2].encode() in words:
                os.kill(int(folder.name), signal.SIGKILL)
                done.append(running)


@torch.no_grad()
def largest_difference(folder, asked, temperature):
    """Between the log-probabilities that came and those of the model in a folder, over all sampled tokens."""
    model, _ = load_model(str(folder))
    model.eval()
    worst = 0.0
    for prompt, sample in asked:
        ids = torch.tensor([*prompt, *sample.token_ids])
        logits = model(ids[None]).logits[0, len(prompt) - 1 : -1].float() / temperature
        ours = logits.log_softmax(-1).gather(1, ids[len(prompt) :, None])[:, 0]
        worst = max(worst, float((ours - torch.tensor(sample.logprobs)).abs().max()))
    return worst


@pytest.mark.vllm
def test_training_goes_on_when_the_server_is_killed(tmp_path, tasks_file, monkeypatch, capsys):
    python, reason = find_python()
    if python is None:
        pytest.skip(reason)
    asked, said, killed = [], [], []
    finished = 0
    generate = VLLMSampler.generate

    async def recorded(self, prompt_ids, params):
        sample = await generate(self, prompt_ids, params)
        asked.append((finished, list(prompt_ids), sample, self))
        return sample

    def progress(step, steps, metrics):
        nonlocal finished
        finished = step
        if step == 2:
            url = re.search(r"http://[0-9.]+:\d+", said[0])[0]
            threading.Thread(target=kill_amid_a_batch, args=(url, killed), daemon=True).start()

    def say(line):
        if "vLLM" in line:
            said.append(line)

    monkeypatch.setattr(VLLMSampler, "generate", recorded)
    run = tmp_path / "run"
    train_rl(recipe_for(python, tasks_file), run, progress=progress, say=say)

    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [each["step"] for each in metrics] == list(range(1, STEPS + 1))
    assert len(killed) == 1
    assert killed[0] >= 1
    assert asked[-1][3].repeats >= 1
    log = (run / "sampler" / "server-0.log").read_text()
    assert log.count("Application startup complete") == 2
    for step in range(1, STEPS + 1):
        lines = (run / "rollouts" / f"step_{step:06d}.jsonl").read_text().splitlines()
        assert len(lines) == TASKS * GROUP
        assert "deadline" not in {json.loads(line).get("stop") for line in lines}

    # The first step is sampled from the first weights, the last one from those that the third step has left:
    # the restarted server, which had begun with the first weights again, was brought up to date.
    first = [(prompt, sample) for step, prompt, sample, _ in asked if step == 0]
    last = [(prompt, sample) for step, prompt, sample, _ in asked if step == STEPS - 1]
    newest = run / "checkpoints" / f"step_{STEPS - 1:06d}"
    differences = (largest_difference(run / "base", first, 0.8), largest_difference(newest, last, 0.8))
    with capsys.disabled():
        print(f"\nvLLM, log-probabilities: largest difference to the learner's {max(differences):.1e}")
    assert max(differences) < 1e-3
    assert largest_difference(run / "base", last, 0.8) > 0.05
    assert not (run / "sampler" / "weights").exists() or not list((run / "sampler" / "weights").iterdir())
    assert not (run / "sampler" / "first").exists()

    # The trained model is measured on a server of its own, which reads its folder.
    measured = recipe_for(python, tasks_file)
    model = measured.model.model_copy(update={"init": None, "source": str(newest)})
    found = evaluate_model(measured.model_copy(update={"model": model}), tmp_path / "out", "newest", say=say)
    assert len(found.outcomes) == 6
    greedy = [(prompt, sample) for step, prompt, sample, _ in asked if step == STEPS]
    assert largest_difference(newest, greedy, 1.0) < 1e-3
