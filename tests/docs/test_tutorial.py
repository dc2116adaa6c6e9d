"""The tutorial's files and commands, as they stand on the page; only the training is made shorter."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from toolwise.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
FILES = ("thermometer.py", "thrifty.py", "test_parts.py", "make_data.py", "warm-sft.yaml", "warm-rl.yaml")
SHORTER = {
    "train sft": ["--set", "training.epochs=null", "--set", "training.steps=1"],
    "train rl": ["--set", "training.steps=1", "--set", "rollout.tasks_per_step=1"],
    "evaluate": ["--limit", "1"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that a reader has after writing the page's files."""
    place = tmp_path_factory.mktemp("tutorial")
    blocks = re.findall(r"```(?:python|yaml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == len(FILES)
    for name, block in zip(FILES, blocks, strict=True):
        (place / name).write_text(block, encoding="utf-8")
    subprocess.run([sys.executable, "make_data.py"], cwd=place, check=True)
    return place


@pytest.fixture
def there(folder, monkeypatch):
    """The reader is in that folder, where the command line finds the page's modules."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


def test_the_parts_keep_their_contracts(folder):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_parts.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_first_task_is_the_one_on_the_page(folder):
    first = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()[0]
    assert first in PAGE.read_text(encoding="utf-8")


def test_every_command_on_the_page_runs(there):
    page = PAGE.read_text(encoding="utf-8").partition("## Your own model")[0]
    commands = re.findall(r"^\$ toolwise (.*)$", page, re.MULTILINE)
    assert len(commands) == 8
    for command in commands:
        extra = next((more for start, more in SHORTER.items() if command.startswith(start)), [])
        done = CliRunner().invoke(app, [*command.split(), *extra])
        assert done.exit_code == 0, (command, done.output, done.exception)
    results = (there / "runs" / "warm-rl" / "results.json").read_text(encoding="utf-8")
    assert '"sft"' in results
    assert '"thrifty"' in results
