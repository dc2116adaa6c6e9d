"""Two real processes that talk over gloo: the curve of one process, one checkpoint, and a rank that dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

pytest.importorskip("peft")
PROGRAM = Path(__file__).with_name("ranks.py")
KINDS = ("sft", "grpo", "ppo", "lora")


def start(folder: Path, *words: str, ranks: int = 2) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common.pop("WORLD_SIZE", None)
    sizes = [{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)} for rank in range(ranks)]
    return [
        subprocess.Popen(
            [sys.executable, PROGRAM, folder, *words],
            env=common | (size if ranks > 1 else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for size in sizes
    ]


def finish(*processes: subprocess.Popen) -> None:
    for process in processes:
        said = process.communicate()
        assert process.returncode == 0, said[1][-3000:]


def metrics(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    # Clocks, and what depends on how micro-batches are filled.
    left_out = ("seconds", "per_second", "padding")
    return [{k: v for k, v in line.items() if not any(word in k for word in left_out)} for line in lines]


def alike(folder: Path, other: Path) -> None:
    mine, theirs = metrics(folder), metrics(other)
    assert len(mine) == len(theirs) == 4
    for line, wanted in zip(mine, theirs, strict=True):
        assert line == pytest.approx(wanted, abs=1e-5, rel=1e-5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One process: whole runs and halves. Then two: whole runs, going on, and halves; then one goes on."""
    folder = tmp_path_factory.mktemp("ranks")
    single = start(
        folder / "one", *(f"{kind}-ddp-4" for kind in KINDS), "ppo-ddp-2@ppo-grown", "lora-ddp-2@lora-grown",
        ranks=1,
    )  # fmt: skip
    finish(*single)
    for name in ("ppo-grown", "lora-grown"):
        (folder / "two").mkdir(exist_ok=True)
        (folder / "one" / name).rename(folder / "two" / name)
    pair = start(
        folder / "two",
        *("sft-ddp-4", "grpo-ddp-4", "ppo-ddp-4", "lora-ddp-4"),
        *("sft-fsdp2-4", "grpo-fsdp2-4", "ppo-fsdp2-4", "lora-fsdp2-4"),
        *("ppo-fsdp2-4@ppo-grown", "lora-fsdp2-4@lora-grown"),
        *("ppo-fsdp2-2@ppo-shrunk", "lora-fsdp2-2@lora-shrunk", "grpo-ddp-2@grpo-shrunk"),
    )
    finish(*pair)
    finish(
        *start(
            folder / "two",
            "ppo-ddp-4@ppo-shrunk",
            "lora-ddp-4@lora-shrunk",
            "grpo-ddp-4@grpo-shrunk",
            ranks=1,
        )
    )
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_give_the_curve_of_one_process(runs, kind, strategy):
    alike(runs / "two" / f"{kind}-{strategy}-4", runs / "one" / f"{kind}-ddp-4")


@pytest.mark.parametrize("name", ["ppo-grown", "lora-grown", "ppo-shrunk", "lora-shrunk", "grpo-shrunk"])
def test_a_checkpoint_goes_on_with_another_number_of_ranks(runs, name):
    alike(runs / "two" / name, runs / "one" / f"{name.partition('-')[0]}-ddp-4")


@pytest.mark.parametrize("kind,file", [("ppo", "model"), ("ppo", "critic/model"), ("lora", "adapter_model")])
def test_a_sharded_run_writes_the_whole_model_once(runs, kind, file):
    place = f"checkpoints/step_000004/{file}.safetensors"
    mine, other = (load_file(runs / run / place) for run in (f"two/{kind}-fsdp2-4", f"one/{kind}-ddp-4"))
    assert {name: value.shape for name, value in mine.items()} == {
        name: value.shape for name, value in other.items()
    }
    assert all((value - other[name]).abs().max() < 1e-4 for name, value in mine.items())


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_a_rank_that_dies_ends_the_run_and_loses_nothing(runs, tmp_path, strategy):
    first, last = start(tmp_path, f"grpo-{strategy}-4", "hang=3")
    process = int(last.stdout.readline().split()[1])
    os.kill(process, signal.SIGKILL)
    last.wait()
    said = first.communicate(timeout=280)[1]
    assert first.returncode not in (0, None)
    assert "LostRankError" in said
    assert "2 of 4 steps are safe" in said
    finish(*start(tmp_path, f"grpo-{strategy}-4"))
    alike(tmp_path / f"grpo-{strategy}-4", runs / "one" / "grpo-ddp-4")
