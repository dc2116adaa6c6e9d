"""Pin in pyproject.toml the newest versions that fit together (``make lock``); then run ``make check``.

The pins are constraints in ``[tool.uv]``: a lock file of uv's would name the hosts of the registry that it
was made with. They hold for every platform and every supported Python; what the extras need is not among
them. torch stays at the version of the environment that runs this: which of its builds fits is a person's
choice.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
TITLE = "  # Written by `make lock`.\n"
BLOCK = re.compile(rf"(\nconstraint-dependencies = \[\n){re.escape(TITLE)}.*?(\]\n)", re.S)
GROUPS = ("--group=dev", "--group=docs", "--group=bench")
COMPILE = ("uv", "pip", "compile", "pyproject.toml", *GROUPS, "--constraints=-")
EVERYWHERE = ("--universal", "--python-version=3.11", "--fork-strategy=fewest")
PLAIN = ("--strip-extras", "--no-header", "--no-annotate", "--quiet")


def resolve(project: str) -> list[str]:
    """Exact versions of everything that a project's text asks for, as requirements with their markers."""
    with tempfile.TemporaryDirectory() as folder:
        # Resolved where the old pins do not stand, or nothing would ever move.
        (Path(folder) / "pyproject.toml").write_text(project, encoding="utf-8")
        # A folder of wheels on this machine must not decide what others get.
        environment = {key: value for key, value in os.environ.items() if key != "UV_FIND_LINKS"}
        done = subprocess.run(
            [*COMPILE, *EVERYWHERE, *PLAIN],
            cwd=folder,
            env=environment,
            input=f"torch=={version('torch').partition('+')[0]}",
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    return sorted(line for line in done.stdout.splitlines() if "==" in line)


def main() -> None:
    """Replace the old pins."""
    text = PROJECT.read_text(encoding="utf-8")
    if not BLOCK.search(text):
        sys.exit(f"{PROJECT.name} has no constraint-dependencies with the line {TITLE.strip()!r}")
    pins = resolve(BLOCK.sub(r"\1\2", text))
    lines = "".join(f'  "{pin.replace(chr(34), chr(39))}",\n' for pin in pins)
    PROJECT.write_text(BLOCK.sub(lambda found: f"{found[1]}{TITLE}{lines}{found[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
