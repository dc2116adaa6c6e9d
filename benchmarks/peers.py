"""Two sides of a comparison, each in a process of its own, in turns."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import peak_gib

TRL_VERSION = "1.16.0"


class StepClock:
    """Time between the ends of training steps, without that before the end of the first one."""

    def __init__(self, warm_up: int = 1) -> None:
        self.warm_up, self.steps = warm_up, 0
        self._begun = self._ended = 0.0

    def tick(self) -> None:
        """A step has ended."""
        self.steps += 1
        self._ended = time.perf_counter()
        if self.steps == self.warm_up:
            self._begun = self._ended

    @property
    def seconds(self) -> float:
        """Of one step, on average."""
        return (self._ended - self._begun) / (self.steps - self.warm_up)


def say(figures: Mapping[str, Any]) -> None:
    """What a side ends with: its figures and its peak memory, as a line of JSON."""
    print(json.dumps(dict(figures) | {"peak_gib": peak_gib()}), flush=True)


def run_side(about: str | None, sides: Mapping[str, Callable[[Path, int], None]], count: str) -> None:
    """Run the side that the command line names: ``SIDE FOLDER COUNT``.

    Args:
        about: What ``--help`` says of them.
        sides: By name; each takes the model's folder and the count, and says its figures.
        count: What is counted.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("side", choices=tuple(sides))
    parser.add_argument("folder", type=Path)
    parser.add_argument(count, type=int)
    given = parser.parse_args()
    sides[given.side](given.folder, getattr(given, count))


def ask(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a side; its figures."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[2:])} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def in_turns(
    module: str, sides: Sequence[str], arguments: Sequence[str], rounds: int
) -> dict[str, list[dict[str, Any]]]:
    """Each side so many times, the order of a round turned round from the one before."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            found[side].append(ask(module, [side, *arguments]))
    return found


def ratios(
    found: Mapping[str, Sequence[Mapping[str, float]]], mine: str, peer: str, name: str
) -> dict[str, float]:
    """Median over rounds of mine through the peer's, with the lowest and the highest, and both medians."""
    pairs = [(a[name], b[name]) for a, b in zip(found[mine], found[peer], strict=True)]
    each = [a / b for a, b in pairs]
    return {
        "ratio": statistics.median(each),
        "lowest": min(each),
        "highest": max(each),
        mine: statistics.median(a for a, _ in pairs),
        peer: statistics.median(b for _, b in pairs),
        f"{mine}_peak_gib": statistics.median(side["peak_gib"] for side in found[mine]),
        f"{peer}_peak_gib": statistics.median(side["peak_gib"] for side in found[peer]),
    }


def quiet_trl() -> None:
    """Keep TRL and transformers from telling anybody anything; refuse another version than was compared."""
    import os

    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    import trl
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if trl.__version__ != TRL_VERSION:
        raise SystemExit(f"trl is {trl.__version__}; compared with {TRL_VERSION} (uv sync --group bench)")


def template(name: str) -> str:
    """A chat template that TRL comes with: it knows how to parse those."""
    import trl

    return (Path(trl.__file__).parent / "chat_templates" / name).read_text(encoding="utf-8")
