from __future__ import annotations

import errno
import io
import json
from pathlib import Path

import pytest
import torch
from loop_helpers import demonstrations, policy
from safetensors.torch import load_file

from toolwise.core import ToolwiseError
from toolwise.learning import Learner, LearnerConfig, RunFolder, SupervisedLossConfig, checkpoint, open_sink


def learner_after(steps: int) -> Learner:
    learner = Learner(policy(), LearnerConfig(learning_rate=1e-3))
    for step in range(steps):
        torch.manual_seed(step)  # dropout
        learner.step(demonstrations(), SupervisedLossConfig())
    return learner


def test_a_checkpoint_is_a_hugging_face_folder_with_one_state_file(tmp_path):
    from transformers import AutoModelForCausalLM

    learner = learner_after(2)
    path = RunFolder(tmp_path).save(2, learner)
    assert {file.name for file in path.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "trainer_state.pt",
    }
    loaded = AutoModelForCausalLM.from_pretrained(path)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, learner.model.state_dict()[name])
    state = torch.load(path / "trainer_state.pt", weights_only=True)
    assert (state["step"], state["learner"]["steps"], state["metrics_lines"]) == (2, 2, 0)


@pytest.mark.parametrize("when", ["state", "weights", "rename"])
def test_a_full_disk_leaves_the_checkpoint_before_intact(tmp_path, monkeypatch, when):
    run = RunFolder(tmp_path)
    learner = learner_after(1)
    first = run.save(1, learner)
    before = {file.name: file.read_bytes() for file in first.iterdir()}
    learner.step(demonstrations(), SupervisedLossConfig())

    def full(*arguments, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        if when == "state":
            patched.setattr(checkpoint, "write_state", full)
        elif when == "weights":
            patched.setattr(learner.model, "save_pretrained", full)
        else:
            patched.setattr(Path, "rename", full)
        with pytest.raises(
            ToolwiseError, match=r"step 2 could not be written.*No space left.*intact.*step_000001"
        ):
            run.save(2, learner)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_000001"]
    assert {file.name: file.read_bytes() for file in first.iterdir()} == before
    again = Learner(policy(), LearnerConfig(learning_rate=1e-3))
    assert run.resume(again) == 1
    assert run.save(2, learner).name == "step_000002"  # once there is room


def test_a_full_disk_in_the_middle_of_a_file_is_told_as_well(tmp_path, monkeypatch):
    """torch wraps the error of the file it writes to; it must arrive all the same."""

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    plain = Path.open
    with monkeypatch.context() as patched:
        patched.setattr(
            Path, "open", lambda path, *rest: Full() if path.suffix == ".pt" else plain(path, *rest)
        )
        with pytest.raises(ToolwiseError, match="could not be written"):
            RunFolder(tmp_path).save(1, learner_after(0))
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_the_newest_are_kept(tmp_path):
    run = RunFolder(tmp_path, keep=2)
    learner = learner_after(0)
    for step in (1, 2, 10):
        run.save(step, learner)
    assert [path.name for path in run.checkpoints] == ["step_000002", "step_000010"]
    run.save(10, learner)  # the same step again takes the place of the old one
    assert [path.name for path in run.checkpoints] == ["step_000002", "step_000010"]


def test_a_broken_checkpoint_is_named(tmp_path):
    run = RunFolder(tmp_path)
    path = run.save(1, learner_after(0))
    (path / "trainer_state.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ToolwiseError, match=r"step_000001.*cannot be read"):
        run.resume(learner_after(0))


def test_the_state_file_cannot_carry_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    torch.save({"step": Evil()}, tmp_path / "state.pt")
    with pytest.raises(Exception, match="Weights only load failed"):
        checkpoint.read_state(tmp_path / "state.pt")


def test_a_run_of_another_configuration_is_not_overwritten(tmp_path):
    RunFolder(tmp_path).write_config({"seed": 1, "steps": 5})
    RunFolder(tmp_path).write_config({"seed": 1, "steps": 5})
    with pytest.raises(ToolwiseError, match=r"config.yaml: .*another configuration: seed"):
        RunFolder(tmp_path).write_config({"seed": 2, "steps": 5})


def test_metrics_are_valid_json_whatever_they_are(tmp_path):
    run = RunFolder(tmp_path)
    run.log(1, {"loss": float("nan"), "reward": 0.5})
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "loss": None, "reward": 0.5}


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_a_missing_sink_names_the_extra(tmp_path, monkeypatch, name):
    import importlib

    def missing(module):
        raise ImportError(module)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ToolwiseError, match=rf"toolwise\[{name}\]"):
        open_sink(name, tmp_path)


def test_sinks_hear_every_metric(tmp_path):
    class Listening:
        def __init__(self):
            self.heard, self.closed = [], False

        def write(self, step, metrics):
            self.heard.append((step, dict(metrics)))

        def close(self):
            self.closed = True

    sink = Listening()
    run = RunFolder(tmp_path, sinks=[sink])
    run.log(3, {"loss": 1.0})
    run.close()
    assert sink.heard == [(3, {"loss": 1.0})]
    assert sink.closed


def test_optimizer_state_survives(tmp_path):
    straight = learner_after(3)
    stopped = learner_after(2)
    run = RunFolder(tmp_path)
    run.save(2, stopped)
    resumed = Learner(policy(seed=1), LearnerConfig(learning_rate=1e-3))
    assert run.resume(resumed) == 2
    torch.manual_seed(2)
    resumed.step(demonstrations(), SupervisedLossConfig())
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])
    saved = load_file(run.save(3, resumed) / "model.safetensors")
    assert all(torch.equal(value, straight.model.state_dict()[name]) for name, value in saved.items())
