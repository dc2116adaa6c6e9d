"""What runs inside of the sandbox; it is handed over as text, and imports nothing of Toolwise.

It gives up what rights it has, reads the code from standard input and runs it like a notebook's cell: the
value of a last expression is printed. The code can change anything in this process. Nothing here protects
the host: the engine around it does.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from types import ModuleType, TracebackType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MARK = b"\0"
"""Written first by a confined process, so that the engine knows that the sandbox stood."""
FILE = "<code>"
USER = 1
TRACEBACK_LINES = 20


def confine(cpu_seconds: int, memory_bytes: int, file_bytes: int) -> None:
    """Become an unprivileged user for good, and set limits that cannot be raised again."""
    import resource

    os.closerange(3, 256)  # Descriptors that bubblewrap has left open.
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, 1),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        resource.setrlimit(limit, (value, value))


def run(source: str) -> int:
    """Run the code as ``__main__``, print what there is to print, and give its exit status."""
    import _ast
    import builtins

    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    try:
        # Without dont_inherit, the code would get this file's __future__ imports.
        tree: Any = compile(source, FILE, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], _ast.Expr) else None
        exec(compile(tree, FILE, "exec", dont_inherit=True), module.__dict__)
        if last is not None:
            cell = _ast.Interactive(body=[last])
            exec(compile(cell, FILE, "single", dont_inherit=True), module.__dict__)
        sys.stdout.flush()
    except SystemExit as exit:
        _write("")
        return _exit_status(exit.code)
    except BaseException as error:
        _report(error, error.__traceback__, source)
        return 1
    return 0


def _exit_status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        # From 126 on, engines and shells have their own uses for it.
        return code if 0 <= code < 126 else 125
    _write(f"{code}\n")
    return 1


def _report(error: BaseException, trace: TracebackType | None, source: str) -> None:
    """Print the last lines of the traceback, less the frame of this file."""
    try:
        import linecache
        import traceback

        linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
        shown = traceback.TracebackException(type(error), error, trace and trace.tb_next)
        lines = "".join(shown.format()).splitlines()
        if len(lines) > TRACEBACK_LINES:
            lines = [*lines[:1], "  …", *lines[2 - TRACEBACK_LINES :]]
        text = "\n".join(lines)
    except BaseException:
        # No memory or no stack is left, or the exception's own text fails.
        text = type(error).__name__
    _write(text + "\n")


def _write(text: str) -> None:
    """Print past whatever the code has done to ``sys.stdout``."""
    import contextlib

    with contextlib.suppress(BaseException):
        sys.stdout.flush()
    data = text.encode("utf-8", "replace")
    for descriptor in (1, 2):
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            return
        except OSError:
            continue


def main() -> None:
    """Read the code, run it, and end without a further step of the interpreter's."""
    if sys.argv[1:]:
        confine(*(int(argument) for argument in sys.argv[1:4]))
        sys.path.append(sys.argv[4])
        os.write(1, MARK)
    source = sys.stdin.buffer.read().decode("utf-8")
    sys.argv[:] = [""]
    if isinstance(sys.stdout, TextIOWrapper):
        # What was printed is not lost when the code is stopped.
        sys.stdout.reconfigure(line_buffering=True)
    os._exit(run(source))


if __name__ == "__main__":
    main()
