"""Pin in pyproject.toml the versions of the environment in which the checks passed (``make lock``).

The pins are constraints in ``[tool.uv]``: a lock file of uv's would name the hosts of the registry it was
made with. What torch needs for an accelerator is not among them; torch itself pins it.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
HEADER = "# Tested versions, written by `make lock`.\n[tool.uv]\nconstraint-dependencies = [\n"


def main() -> None:
    """Replace the old pins."""
    frozen = subprocess.run(["uv", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
    # A local version such as 2.13.0+cpu names a build, and the registry has others of the same version.
    pins = sorted(re.sub(r"\+\w+", "", line) for line in frozen.splitlines() if "==" in line)
    kept = re.sub(
        r"\n# Tested versions, written by `make lock`\.\n.*?\n\]\n", "\n", PROJECT.read_text(), flags=re.S
    )
    lines = "".join(f'  "{pin}",\n' for pin in pins)
    PROJECT.write_text(f"{kept.rstrip()}\n\n{HEADER}{lines}]\n")


if __name__ == "__main__":
    main()
