"""Runs a command in a process group of its own, and ends the whole group when its parent is gone.

``python child_watch.py COMMAND…``: the parent keeps the standard input open for as long as the command shall
run. It needs the standard library only, and is run as a file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

PATIENCE = 20.0
"""Seconds between a polite end and a forced one."""


def main(command: list[str]) -> int:
    """Run a command until it ends or the standard input is closed; its status.

    Whatever it started is ended with it: of a server that is killed, workers stay behind.
    """
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def end(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()

    def watch_parent() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1):
                pass
        end()

    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=end, daemon=True).start())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    threading.Thread(target=watch_parent, daemon=True).start()
    status = child.wait()
    # The group's leader is this process: what remains of the group is ended, this process last.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    if _others_remain():
        os.killpg(0, signal.SIGKILL)
    return status if status >= 0 else 128 - status


def _others_remain(tries: int = 20, pause: float = 0.1) -> bool:
    """Whether the group has other members, after some waiting for them."""
    waiting = threading.Event()
    for _ in range(tries):
        if not _others():
            return False
        waiting.wait(pause)
    return True


def _others() -> bool:
    own = os.getpgid(0)
    if not os.path.isdir("/proc"):
        return True  # Nobody can be asked.
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                if os.getpgid(int(name)) == own:
                    return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
