"""The command line of a bubblewrap sandbox: what the code sees, and nothing else."""

from __future__ import annotations

import compileall
import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from toolwise.core import ToolwiseError
from toolwise.tools.sandbox import inside
from toolwise.tools.sandbox.engine import PACKAGES, SCRATCH_BYTES, SandboxLimits

SCRATCH = "/tmp"

_ENVIRONMENT = {
    "HOME": SCRATCH,
    "TMPDIR": SCRATCH,
    "LANG": "C.UTF-8",
    "LD_LIBRARY_PATH": "/python/lib:/python/lib64",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
}
# Folders that bubblewrap makes by itself are closed to all but root.
_FOLDERS = ("/usr", "/python", "/python/bin", "/packages", "/dev")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_MEND = "install it (Debian: apt-get install bubblewrap util-linux libseccomp2), or use engine: wasi"


def sandbox_command(limits: SandboxLimits) -> tuple[list[str], list[str]]:
    """The command in two parts; bubblewrap's options for one call go between them.

    Paths inside are the same on every machine, so that tracebacks are, too. Addresses are not randomised
    (``setarch -R``): what a model reads of an object, and the order of a set, are the same in every call.

    Raises:
        ToolwiseError: A program or a package is missing.
    """
    if not sys.platform.startswith("linux"):
        raise ToolwiseError("it needs Linux", mend="use engine: wasi")
    after = [
        *("--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"),
        *("--hostname", "sandbox", "--clearenv", "--cap-drop", "ALL"),
        *(part for name, value in _ENVIRONMENT.items() for part in ("--setenv", name, value)),
        *_identity(),
        *(part for folder in _FOLDERS for part in ("--perms", "0755", "--dir", folder)),
        *_system(),
        *_interpreter(),
        *_packages(),
        *(part for device in _DEVICES for part in ("--dev-bind", device, device)),
        *("--perms", "1777", "--size", str(SCRATCH_BYTES), "--tmpfs", SCRATCH),
        *("--remount-ro", "/", "--chdir", SCRATCH),
        *("/python/bin/python3", "-S", "-s", "-P", "-c", _inside_source()),
        *(str(limits.seconds), str(limits.memory_bytes), str(SCRATCH_BYTES), "/packages"),
    ]
    return [_program("setarch"), "-R", _program("bwrap")], after


def compile_packages() -> None:
    """Byte-compile what the code can import; the sandbox cannot write there and would do so in every call."""
    for name in PACKAGES:
        compileall.compile_dir(_package(name), quiet=2, rx=re.compile(r"/tests?/"))


def _identity() -> list[str]:
    """As root, the sandbox's process drops to an unprivileged user itself, and needs two rights to do so."""
    if os.getuid() == 0:
        return ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return ["--uid", str(inside.USER), "--gid", str(inside.USER)]


def _system() -> list[str]:
    """The shared libraries that the interpreter and the packages are linked to."""
    options = []
    for folder in ("/usr/lib", "/usr/lib64", "/lib", "/lib64"):
        if os.path.islink(folder):
            options += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            options += ["--ro-bind", folder, folder]
    return options


def _interpreter() -> list[str]:
    """The interpreter below any virtual environment, and its standard library without installed packages."""
    program = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    options = ["--ro-bind", program, "/python/bin/python3"]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for folder in ("lib", "lib64"):
        found = os.path.join(sys.base_prefix, folder)
        if not os.path.isdir(found):
            continue
        options += ["--ro-bind", found, f"/python/{folder}"]
        for installed in ("site-packages", "dist-packages"):
            if os.path.isdir(os.path.join(found, version, installed)):
                hidden = f"/python/{folder}/{version}/{installed}"
                options += ["--tmpfs", hidden, "--remount-ro", hidden]
    return options


def _packages() -> list[str]:
    options = []
    for name in PACKAGES:
        folder = _package(name)
        options += ["--ro-bind", folder, f"/packages/{name}"]
        libraries = f"{folder}.libs"
        if os.path.isdir(libraries):
            options += ["--ro-bind", libraries, f"/packages/{name}.libs"]
    return options


def _package(name: str) -> str:
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise ToolwiseError(f"the package {name} is not installed", mend=f"pip install {name}")
    return str(found.submodule_search_locations[0])


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ToolwiseError(f"the program {name} is not installed", mend=_MEND)
    return found


def _inside_source() -> str:
    return Path(inside.__file__).read_text(encoding="utf-8")
