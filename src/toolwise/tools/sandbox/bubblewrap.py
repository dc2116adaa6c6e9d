"""bubblewrap: code runs natively, in namespaces of its own, under a system call filter and limits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from io import FileIO

from toolwise.core import ErrorKind, ToolwiseError
from toolwise.tools.sandbox import inside
from toolwise.tools.sandbox.bubblewrap_command import compile_packages, sandbox_command
from toolwise.tools.sandbox.engine import (
    MAX_OUTPUT_BYTES,
    Outcome,
    SandboxLimits,
    decode,
    ended,
    flooded,
    timed_out,
)
from toolwise.tools.sandbox.syscalls import filter_program

UNPRIVILEGED_USER = 65534
"""The host's user as whom the code runs when Toolwise runs as root ("nobody" on most systems)."""

# Own process ids, an unprivileged user, no folder of the host's; and files can be written.
_TRIAL = """
import os
open("code.py", "w").close()
seen = os.listdir("/") + os.listdir()
(os.getpid() < 5, os.getuid(), [name for name in seen if name in ("code.py", "etc", "home", "proc")])
"""
_TICK = 0.05
_START_SECONDS = 30.0


class Bubblewrap:
    """Runs each call in a fresh sandbox of bubblewrap (Linux).

    Args:
        limits: What one call may use.

    Raises:
        ToolwiseError: This machine cannot isolate code this way; says why.
    """

    name = "bubblewrap"

    def __init__(self, limits: SandboxLimits) -> None:
        self._limits = limits
        self._before, self._after = sandbox_command(limits)
        self._filter = filter_program()
        compile_packages()
        outcome = self.run(_TRIAL, threading.Event())
        if outcome != Outcome(f"(True, {inside.USER}, ['code.py'])\n"):
            said = " ".join(f"{outcome.problem} {outcome.text}".split())[:300]
            raise ToolwiseError(
                f"a trial run failed: {said}",
                mend="allow user namespaces here (a container needs them from its host), or use engine: wasi",
            )

    def run(self, source: str, cancel: threading.Event) -> Outcome:
        """Run code in a sandbox of its own; see `Engine.run`."""
        with (
            _sealed(source.encode("utf-8", "replace")) as code,
            _sealed(self._filter) as filter_file,
            _pipe() as (info, info_writer),
            _pipe() as (gate, gate_writer),
        ):
            passed = [filter_file.fileno(), info_writer.fileno()]
            wiring = ["--seccomp", str(passed[0]), "--info-fd", str(passed[1])]
            if os.getuid() == 0:
                passed.append(gate.fileno())
                wiring += ["--userns-block-fd", str(gate.fileno())]
            deadline = time.monotonic() + _START_SECONDS
            process = subprocess.Popen(
                [*self._before, *wiring, *self._after],
                stdin=code,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=passed,
                env={},
                cwd="/",
                # Ctrl-C in the terminal is for Toolwise, which then ends its calls.
                start_new_session=True,
            )
            init: int | None = None
            try:
                info_writer.close()
                init = _open_init(info, gate_writer if os.getuid() == 0 else None, deadline)
                output, stopped = _collect(process, self._limits, cancel)
            except OSError as error:
                output, stopped = f"{error}".encode(), None
            finally:
                _end(process, init)
        return _outcome(output, stopped, process.returncode, self._limits)


def _outcome(output: bytes, stopped: str | None, status: int, limits: SandboxLimits) -> Outcome:
    if not output.startswith(inside.MARK) and stopped is None:
        return Outcome(decode(output), ErrorKind.TOOL_FAILURE, "the sandbox could not start")
    text = decode(output.removeprefix(inside.MARK)[:MAX_OUTPUT_BYTES])
    if stopped == "output":
        return flooded(text)
    if stopped is not None or status == 128 + signal.SIGXCPU:
        return timed_out(text, limits)
    if 128 < status < 128 + signal.NSIG:
        name = signal.Signals(status - 128).name
        memory = f"; it may use {limits.memory_bytes >> 20} MiB of memory" if name == "SIGKILL" else ""
        return Outcome(text, ErrorKind.TOOL_FAILURE, f"the code crashed ({name}{memory})")
    if status < 0:
        return Outcome(text, ErrorKind.TOOL_FAILURE, "the sandbox was ended from outside")
    return ended(text, status)


def _collect(
    process: subprocess.Popen[bytes], limits: SandboxLimits, cancel: threading.Event
) -> tuple[bytes, str | None]:
    """What the code printed, and why it has to be stopped: None where it ended by itself."""
    assert process.stdout is not None
    deadline = time.monotonic() + limits.wall_seconds
    output = bytearray()
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    reading = True
    while True:
        if cancel.is_set():
            return bytes(output), "cancelled"
        left = deadline - time.monotonic()
        if left <= 0:
            return bytes(output), "time"
        tick = min(left, _TICK)
        if not reading:
            # Its streams are closed; it may still be running.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(tick)
                return bytes(output), None
        elif poll.poll(tick * 1000):
            part = os.read(process.stdout.fileno(), 1 << 16)
            output += part
            reading = bool(part)
            if len(output) > MAX_OUTPUT_BYTES:
                return bytes(output), "output"


def _open_init(info: FileIO, gate_writer: FileIO | None, deadline: float) -> int | None:
    """A pidfd of the sandbox's first process; with its death, the kernel ends all others of the sandbox.

    Args:
        info: Where bubblewrap tells its process id.
        gate_writer: As root: where bubblewrap is told that the users of its namespace are mapped. Root stays
            root while the sandbox is built; the code itself runs as an unprivileged user.
        deadline: When to give up.
    """
    told = b""
    while not (found := re.search(rb'"child-pid": (\d+)\D', told)):
        ready, _, _ = select.select([info], [], [], max(0.0, deadline - time.monotonic()))
        part = os.read(info.fileno(), 4096) if ready else b""
        if not part:
            return None
        told += part
    pid = int(found[1])
    init = os.pidfd_open(pid)
    if gate_writer is not None:
        try:
            for kind in ("uid_map", "gid_map"):
                with open(f"/proc/{pid}/{kind}", "w", encoding="ascii") as file:
                    file.write(f"0 0 1\n{inside.USER} {UNPRIVILEGED_USER} 1\n")
        except OSError:
            os.close(init)
            raise
        gate_writer.write(b"1")
    return init


def _end(process: subprocess.Popen[bytes], init: int | None) -> None:
    """End all that is left of a call, and wait until it is gone."""
    if init is not None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(init, signal.SIGKILL)
        os.close(init)
    else:
        process.kill()
    try:
        process.wait(_START_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[FileIO, FileIO]]:
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as reading, open(writer, "wb", buffering=0) as writing:
        yield reading, writing


@contextlib.contextmanager
def _sealed(content: bytes) -> Iterator[FileIO]:
    """A file in memory that whoever gets it can read and not change."""
    descriptor = os.memfd_create("toolwise", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "rb+", buffering=0) as file:
        with memoryview(content) as left:
            written = 0
            while written < len(left):
                written += file.write(left[written:])
        file.seek(0)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        yield file
