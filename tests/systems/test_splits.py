"""What is trained on and what is kept back."""

from __future__ import annotations

import json

import pytest

from toolwise.core import ToolwiseError
from toolwise.systems.material import split_tasks
from toolwise.systems.recipe import DataFile, HeldOut


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps({"id": f"t{n}", "prompt": "q"}) + "\n" for n in range(40)))
    return path


def names(tasks):
    return [task.id for task in tasks]


def test_a_share_is_kept_back_by_id_whatever_the_order(file):
    training, validation = split_tasks(DataFile(path=file), HeldOut(share=0.25))
    assert (len(training), len(validation)) == (30, 10)
    assert sorted(names(training) + names(validation)) == sorted(f"t{n}" for n in range(40))
    file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    _, again = split_tasks(DataFile(path=file), HeldOut(share=0.25))
    assert set(names(again)) == set(names(validation))


def test_limits(file):
    training, validation = split_tasks(DataFile(path=file, limit=20), HeldOut(share=0.5, limit=3))
    # What is kept back but not looked at is not trained on either.
    assert (len(training), len(validation)) == (10, 3)
    assert set(names(training)) < {f"t{n}" for n in range(20)}


def test_a_file_of_its_own(file, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "v", "prompt": "q"}\n')
    training, validation = split_tasks(DataFile(path=file), HeldOut(path=other))
    assert (len(training), names(validation)) == (40, ["v"])


def test_nothing_is_kept_back_by_default_and_a_share_of_nothing_is_refused(file):
    assert split_tasks(DataFile(path=file), HeldOut())[1] == []
    with pytest.raises(ToolwiseError, match="less than one row"):
        split_tasks(DataFile(path=file, limit=2), HeldOut(share=0.1))
    with pytest.raises(ToolwiseError, match="no file is given"):
        split_tasks(DataFile(), HeldOut())
