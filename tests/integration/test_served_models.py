"""Models measured on vLLM servers: a test double of a server on loopback that reads the model's folder."""

from __future__ import annotations

import json
import shutil

import pytest
from transformers import AutoConfig, AutoTokenizer

from toolwise.systems.engines import model_facts


@pytest.fixture
def served(tmp_path, model_folder):
    """A model folder with a mark in it, by which the double's tokens tell whose weights it has read."""
    folder = shutil.copytree(model_folder, tmp_path / "served")
    (folder / "weights.txt").write_text("those of the folder")
    return folder


@pytest.fixture
def server(served, vllm):
    config, tokenizer = AutoConfig.from_pretrained(served), AutoTokenizer.from_pretrained(served)
    facts = model_facts(config.max_position_embeddings, config, tokenizer)
    return vllm(length=facts.context, vocabulary=facts.vocabulary, tokens=facts.probe[1])


CALCULATOR = ("--set", "tools=[{type: calculator}]")


def on(server, *more):
    return (
        *("--set", f"sampler={{type: vllm, urls: [{server.url}], patience: 30}}"),
        *("--set", "rollout.limits.max_turn_tokens=6", *more),
    )


def test_evaluate_asks_the_servers_for_the_model_of_the_folder(tmp_path, command, tasks_file, served, server):
    out = tmp_path / "out"
    arguments = ("evaluate", "--model", served, "--tasks", tasks_file, "--out", out, *CALCULATOR)
    done = command(*arguments, *on(server))
    assert done.exit_code == 0, done.output
    assert [body["kwargs"]["weights_path"] for body in server.bodies("/collective_rpc")] == [str(served)]
    assert server.state()["weights"] == "those of the folder"
    asked = server.bodies("/inference/v1/generate")
    assert len(asked) >= 6
    assert {body["sampling_params"]["temperature"] for body in asked} == {0.0}
    lines = (out / "rollouts" / "served.jsonl").read_text().splitlines()
    assert len(lines) == 6
    # The same command asks for the same, and gets it.
    again = command(*arguments, *on(server), "--policy", "again")
    assert again.exit_code == 0, again.output
    first, second = json.loads((out / "results.json").read_text())
    assert (first | {"policy": "again"}) == second


def test_probe_rollout_and_benchmark_use_them_too(tmp_path, command, tasks_file, served, server):
    def asked():
        return len(server.bodies("/inference/v1/generate"))

    done = command(
        *("probe", "--model", served, "--tasks", tasks_file, "--out", tmp_path / "known.jsonl"),
        *("--samples", 3, *on(server)),
    )
    assert done.exit_code == 0, done.output
    assert asked() == 6 * 3
    done = command(
        *("rollout", "--model", served, "--tasks", tasks_file, "--limit", 2, "--samples", 2),
        *on(server, *CALCULATOR),
    )
    assert done.exit_code == 0, done.output
    assert asked() >= 6 * 3 + 4
    before = asked()
    (tmp_path / "NQ-open.dev.jsonl").write_text('{"question": "who", "answer": ["I"]}\n')
    done = command(
        *("benchmark", "nq-open", "--data", tmp_path, "--model", served, "--out", tmp_path / "out"),
        *on(server),
    )
    assert done.exit_code == 0, done.output
    assert asked() == before + 1


def test_a_fresh_model_is_written_for_the_servers(tmp_path, command, tasks_file, vllm):
    """The double refuses it: it reads a text into other tokens."""
    server = vllm(length=512, vocabulary=300)
    done = command(
        *("evaluate", "--tasks", tasks_file, "--out", tmp_path / "out", "--policy", "fresh"),
        *on(server, "--set", "model.init.layers=1", "--set", "model.init.context=512"),
        *CALCULATOR,
    )
    assert done.exit_code == 2, done.output
    assert "tokenizer" in done.stderr


def test_a_server_with_another_tokenizer_is_refused(tmp_path, command, tasks_file, served, vllm):
    config = AutoConfig.from_pretrained(served)
    server = vllm(length=config.max_position_embeddings, vocabulary=config.vocab_size, tokens=[1, 2])
    done = command(
        "probe", "--model", served, "--tasks", tasks_file, "--out", tmp_path / "p.jsonl", *on(server)
    )
    assert done.exit_code == 2, done.output
    assert "tokenizer" in done.stderr
