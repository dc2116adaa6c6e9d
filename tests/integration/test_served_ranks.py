"""Two processes that talk over gloo and one server, a double on loopback: the first plays for both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from served_ranks import ROLLOUT, TASKS
from transformers import AutoConfig

PROGRAM = Path(__file__).with_name("served_ranks.py")
PAIR = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def play(out, model_folder, server, refusing, launcher=()) -> list[dict]:
    """What each rank got."""
    out.mkdir()
    done = subprocess.run(
        [sys.executable, *launcher, PROGRAM, model_folder, server.url, refusing.url, out],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(path.read_text()) for path in sorted(out.iterdir())]


def requests(server) -> list[str]:
    return sorted(json.dumps(body, sort_keys=True) for body in server.bodies("/inference/v1/generate"))


def test_the_first_rank_plays_on_servers_for_all(tmp_path, model_folder, vllm):
    config = AutoConfig.from_pretrained(model_folder)
    facts = {"length": config.max_position_embeddings, "vocabulary": config.vocab_size}
    refusing = vllm(**facts, plan=[{"status": 400}] * 1000)
    servers = vllm(**facts), vllm(**facts)
    (alone,) = play(tmp_path / "one", model_folder, servers[0], refusing)
    first, second = play(tmp_path / "two", model_folder, servers[1], refusing, PAIR)
    assert alone["collector"] == "Collector"
    assert first["collector"] == second["collector"] == "ServedCollector"
    # All ranks get the trees that one process gets, in the order of the tasks.
    for name in ("trees", "later", "greedy"):
        assert first[name] == second[name] == alone[name]
    ids = [task.id for task in TASKS]
    assert [tree["task"]["id"] for tree in first["trees"]] == ids
    assert all(len(tree["ends"]) == ROLLOUT.group_size for tree in first["trees"])
    assert first["later"] == first["trees"][2:]
    # The second rank plays nothing: the server is asked for what one process asks for, and no more.
    assert requests(servers[1]) == requests(servers[0])
    assert (first["heard"], second["heard"]) == (ids, [])
    # What the first rank is refused, both are told.
    assert "status 400: planned" in first["refused"]
    assert first["refused"] == second["refused"] == alone["refused"]
