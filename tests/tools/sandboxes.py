"""Building the isolation engines, attacking them, and finding what they leave behind."""

import os
import textwrap
import threading
from pathlib import Path

import pytest

from toolwise.core import ErrorKind, ToolwiseError
from toolwise.tools.sandbox import ENGINES, SandboxLimits

MEMORY = (512 << 20) + 4096 * os.getpid()
"""Stands on the command line of all processes of our sandboxes, and of no others."""


def built(name, **limits):
    try:
        return ENGINES[name](SandboxLimits(**{"memory_bytes": MEMORY, **limits}))
    except ToolwiseError as error:
        pytest.skip(f"{name}: {error}")


def attack(engine, source):
    return engine.run(textwrap.dedent(source), threading.Event())


def refused(outcome, *words):
    """The code failed by an exception that says one of the words."""
    assert outcome.error is ErrorKind.TOOL_FAILURE
    assert outcome.problem == "the code failed"
    last = outcome.text.splitlines()[-1]
    assert any(word in last for word in words), outcome.text


def sandbox_processes(memory=MEMORY):
    """Process ids of our sandboxes, and of our children that nobody has waited for."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if str(memory).encode() in arguments or (state == "Z" and int(parent) == os.getpid()):
            found.append(int(folder.name))
    return found
