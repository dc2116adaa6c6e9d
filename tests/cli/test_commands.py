"""The command line itself: quick help, errors without tracebacks, looking at runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from toolwise.cli.app import app
from toolwise.cli.progress import figures
from toolwise.core import ToolwiseError

HEAVY = ("torch", "transformers", "pyarrow", "bm25s", "numpy", "pydantic", "rich.traceback")
MINPROMPT = ("texts", "sentences", "entities", "graph", "selected", "questions", "records", "train", "all")
COMMANDS = [
    ("quickstart",),
    ("train", "sft"),
    ("train", "dpo"),
    ("train", "dast"),
    ("train", "rl"),
    ("evaluate",),
    ("memory",),
    ("merge",),
    ("data", "toolrl"),
    ("probe",),
    ("benchmark",),
    ("rollout",),
    ("serve",),
    ("show", "mask"),
    ("show", "decisions"),
    ("report",),
    ("doctor",),
    ("systems",),
    ("world", "build"),
    ("data", "smart-er"),
    ("data", "curate"),
    ("data", "boundary"),
    ("data", "nile"),
    ("data", "dast"),
    ("data", "tinyllm"),
    *(("data", "minprompt", stage) for stage in MINPROMPT),
]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "sys.argv = ['toolwise', '--help']\n"
        "from toolwise.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"found = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "assert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout


def test_own_parts_are_found_in_the_folder_of_the_command_but_hide_no_package(tmp_path):
    (tmp_path / "shop.py").write_text("def price():\n    pass\n")
    (tmp_path / "typer.py").write_text("raise AssertionError\n")
    program = (
        "import sys, pkgutil\n"
        "sys.argv = ['toolwise', '--version']\n"
        "from toolwise.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert pkgutil.resolve_name('shop:price')\n"
    )
    python = [sys.executable, "-P", "-c", program]  # -P as for an installed script: no folder of its own
    done = subprocess.run(python, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("group", [(), ("train",), ("data",), ("show",), ("world",)], ids=" ".join)
def test_no_command_is_described_by_half_a_sentence(group):
    _, _, commands = run(*group, "--help").output.partition("Commands:")
    assert commands.strip()
    assert "..." not in commands


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_teaches_with_an_example(command):
    done = run(*command, "--help")
    assert done.exit_code == 0
    assert f"Example: toolwise {' '.join(command)}" in " ".join(done.output.split())


def test_no_command_is_left_out_above():
    import typer.main

    def leaves(command, path=()):
        inner = getattr(command, "commands", None)
        return (
            [path]
            if inner is None
            else [leaf for name in inner for leaf in leaves(inner[name], (*path, name))]
        )

    assert sorted(leaves(typer.main.get_command(app))) == sorted(COMMANDS)


def test_a_mistake_is_a_message_and_exit_code_2():
    done = run("report", "no-such-run")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "no-such-run: there is no such run folder" in done.stderr
    assert "→ give the folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("TOOLWISE_DEBUG", "1")
    done = run("report", "no-such-run")
    assert isinstance(done.exception, ToolwiseError)


def test_a_programs_own_fault_is_not_hidden(monkeypatch):
    import toolwise.reports

    def faulty(run):
        raise RuntimeError("a bug")

    monkeypatch.setattr(toolwise.reports, "diagnose", faulty)
    assert isinstance(run("doctor", "x").exception, RuntimeError)


def test_a_full_disk_is_a_message(monkeypatch):
    import toolwise.reports

    def full(run, out):
        raise OSError(28, "No space left on device", "page.html")

    monkeypatch.setattr(toolwise.reports, "write_report", full)
    done = run("report", "x")
    assert done.exit_code == 2
    assert "page.html: No space left on device" in done.stderr


def test_brackets_in_a_message_are_no_markup():
    done = run("train", "rl", "[red]x[/red]")
    assert done.exit_code == 2
    assert "recipe '[red]x[/red]'" in done.stderr


@pytest.mark.parametrize("arguments", [("--no-such",), ("train", "ppo"), ("evaluate", "--limit", "0")])
def test_wrong_usage_is_exit_code_2(arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Usage" in done.stderr


def test_a_recipe_of_the_other_stage_says_which_command_takes_it():
    done = run("train", "sft", "toolrl")
    assert done.exit_code == 2
    assert "toolwise train rl toolrl" in done.stderr


def test_systems_says_what_runs_and_what_does_not():
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["systems"])
    assert done.exit_code == 0
    lines = {line.split()[0]: line for line in done.output.splitlines() if line.split()}
    assert "runs" in lines["ToolRL"]
    assert "toolrl-sft, toolrl" in lines["ToolRL"]
    assert "not yet" in lines["RM-R1"]


def test_report_and_doctor_of_a_run(tmp_path):
    lines = [{"step": step, "reward_mean": 0.0, "zero_variance_share": 1.0} for step in range(1, 31)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = run("report", tmp_path)
    assert done.exit_code == 0
    assert (tmp_path / "report.html").read_text().startswith("<!")
    done = run("doctor", tmp_path)
    assert done.exit_code == 0
    assert "equal rewards" in done.output


def test_world_build_writes_files_that_are_read_again(tmp_path):
    from toolwise.data import read_tasks
    from toolwise.tools import SearchIndex

    done = run("world", "build", "--out", tmp_path, "--count", 2)
    assert done.exit_code == 0, done.output
    splits = {split: read_tasks(tmp_path / f"{split}.jsonl") for split in ("train", "validation", "heldout")}
    prompts = [task.prompt[0]["content"] for tasks in splits.values() for task in tasks]
    assert len(set(prompts)) == len(prompts)
    assert {task.info["needs_tool"] for task in splits["heldout"]} == {True, False}
    index = SearchIndex.from_file(tmp_path / "corpus.jsonl")
    assert len(index.passages) > 100


def test_quickstart_passes_its_seeds_on(monkeypatch, tmp_path):
    import toolwise.systems.quickstart as system

    called = []
    monkeypatch.setattr(system, "quickstart", lambda out, *, seed: called.append((out, seed)))
    assert run("quickstart", "--out", tmp_path, "--seed", 3).exit_code == 0
    assert run("quickstart", "--out", tmp_path, "--seed", 3, "--seeds", 2).exit_code == 0
    assert called == [(tmp_path, 3), (tmp_path / "seed-3", 3), (tmp_path / "seed-4", 4)]


def test_figures_of_progress():
    assert figures({"loss": 0.5, "grad_norm": 1}) == "loss 0.5"
    assert figures({"loss": 0.5, "reward_mean": 0.25, "accuracy": 1.0}) == "reward 0.25  accuracy 1"


def test_the_installed_command_is_this_one():
    done = subprocess.run(
        [sys.executable, "-m", "toolwise.cli", "--version"],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "80"},
        check=True,
    )
    assert done.stdout.startswith("toolwise ")
