"""A model folder, tasks, demonstrations, and the command line in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_folders import write_lines, write_model
from typer.testing import CliRunner


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "qwen3", "qwen3")


@pytest.fixture(scope="session")
def tasks_file(tmp_path_factory) -> Path:
    return write_lines(
        tmp_path_factory.mktemp("tasks") / "tasks.jsonl",
        [
            {
                "id": f"sum-{number}",
                "prompt": f"What is {number} + 12?",
                "tools": ["calculator"],
                "answer": str(number + 12),
                "info": {"domain": "math", "needs_tool": number % 2 == 0},
            }
            for number in range(6)
        ],
    )


@pytest.fixture(scope="session")
def demonstrations_file(tmp_path_factory) -> Path:
    def conversation(number: int):
        call = {"name": "calculator", "arguments": {"expression": f"{number} + 12"}}
        return {
            "id": f"demo-{number}",
            "tools": ["calculator"],
            "messages": [
                {"role": "user", "content": f"What is {number} + 12?"},
                {
                    "role": "assistant",
                    "content": "",
                    "reasoning_content": "add them",
                    "tool_calls": [{"type": "function", "function": call}],
                },
                {"role": "tool", "name": "calculator", "content": str(number + 12)},
                {"role": "assistant", "content": str(number + 12)},
            ],
        }

    return write_lines(
        tmp_path_factory.mktemp("demonstrations") / "demos.jsonl", [conversation(n) for n in range(8)]
    )


@pytest.fixture
def command():
    """Runs a command line in this process: its result has exit_code, stdout and stderr."""
    from toolwise.cli.app import app

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
