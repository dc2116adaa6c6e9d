"""Run folders: whatever is there is read, whatever is broken is counted."""

import json
import os

import pytest
from synthetic_run import rollout, write_jsonl

from toolwise.core import ToolwiseError
from toolwise.reports import read_run
from toolwise.reports.run_folder import read_at


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(ToolwiseError, match="no such run folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(ToolwiseError, match="holds no run"):
        read_run(tmp_path)


def test_a_killed_run_is_read_as_far_as_it_got(tmp_path):
    write_jsonl(tmp_path / "metrics.jsonl", [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    write_jsonl(tmp_path / "rollouts" / "a.jsonl", [rollout("grpo", 1, 1, 0), {"no": "turns"}])
    with (tmp_path / "rollouts" / "a.jsonl").open("ab") as file:
        file.write(b"\xff\xfe\n[1, 2]\n")
    run = read_run(tmp_path)
    (stage,) = run.stages
    assert [record["loss"] for record in stage.metrics] == [2.0, 1.0]
    for _ in range(2):  # reading twice counts once
        assert len(list(run.rollouts(stage))) == 1
    assert run.broken == {"metrics.jsonl": 1, "rollouts/a.jsonl": 3}


def test_a_resumed_step_counts_once_with_its_later_figures(tmp_path):
    rows = [{"step": step, "loss": loss} for step, loss in [(1, 5.0), (2, 4.0), (3, 3.0), (2, 4.5), (3, 3.5)]]
    write_jsonl(tmp_path / "metrics.jsonl", rows)
    assert [row["loss"] for row in read_run(tmp_path).stages[0].metrics] == [5.0, 4.5, 3.5]


def test_stages_stand_in_the_listed_order_or_that_of_their_configs(tmp_path):
    for age, name in enumerate(["otc", "grpo", "sft"]):
        write_jsonl(tmp_path / name / "metrics.jsonl", [{"step": 1}])
        (tmp_path / name / "config.yaml").write_text("a: 1")
        os.utime(tmp_path / name / "config.yaml", (1000 - age, 1000 - age))
    assert [stage.name for stage in read_run(tmp_path).stages] == ["sft", "grpo", "otc"]
    (tmp_path / "stages.json").write_text('["grpo", "sft"]')
    assert [stage.name for stage in read_run(tmp_path).stages] == ["grpo", "sft", "otc"]
    (tmp_path / "stages.json").write_text('{"grpo": 1}')
    assert read_run(tmp_path).broken == {"stages.json": 1}


def test_results_alone_are_a_run_and_bad_records_are_counted(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps([{"policy": "sft"}, 3, {"seed": 1}]))
    run = read_run(tmp_path)
    assert run.stages == ()
    assert run.results == ({"policy": "sft"},)
    assert run.broken == {"results.json": 2}


def test_a_rollout_is_found_again_by_its_offset(tmp_path):
    written = [rollout("grpo", 1, question, 0) for question in range(3)]
    write_jsonl(tmp_path / "rollouts" / "a.jsonl", written)
    run = read_run(tmp_path)
    found = list(run.rollouts(run.stages[0]))
    assert (
        [read_at(path, offset) for path, offset, _ in found] == [record for _, _, record in found] == written
    )
