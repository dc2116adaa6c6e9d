"""Chromium over its debugging pipe: exact widths, console messages, keys; no package is needed for it."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
PATIENCE = 60


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """One page in a headless Chromium; messages are JSON objects that end with a NUL."""

    def __init__(self, program: str, profile: Path):
        ours_in, theirs_out = (self._high(fd) for fd in os.pipe())
        theirs_in, ours_out = (self._high(fd) for fd in os.pipe())
        silence = os.open(os.devnull, os.O_RDWR)
        actions = [
            (os.POSIX_SPAWN_DUP2, *pair)
            for pair in ((theirs_in, 3), (theirs_out, 4), (silence, 1), (silence, 2))
        ]
        self.process = os.posix_spawn(
            program,
            [program, *FLAGS, f"--user-data-dir={profile}"],
            os.environ,
            file_actions=actions,
            setpgroup=0,
        )
        for fd in (theirs_in, theirs_out, silence):
            os.close(fd)
        self.incoming, self.outgoing = ours_in, ours_out
        self.buffer, self.number, self.events, self.session = b"", 0, [], None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    @staticmethod
    def _high(fd: int) -> int:
        moved = fcntl.fcntl(
            fd, fcntl.F_DUPFD_CLOEXEC, 20
        )  # clear of 3 and 4, which the browser reads and writes
        os.close(fd)
        return moved

    def ask(self, method: str, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.outgoing, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            while b"\0" not in self.buffer:
                if not select.select([self.incoming], [], [], PATIENCE)[0]:
                    raise TimeoutError(method)
                chunk = os.read(self.incoming, 1 << 20)
                if not chunk:
                    raise RuntimeError("the browser has gone")
                self.buffer += chunk
            line, self.buffer = self.buffer.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)
        raise TimeoutError(method)

    def open(self, file: Path, width: int, height: int = 900, dark: bool = False) -> None:
        self.events.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Page.navigate", url=file.resolve().as_uri())
        until = time.monotonic() + PATIENCE
        while self.run("document.documentElement?.dataset.ready") != "true":
            if time.monotonic() > until:
                raise TimeoutError("the page never became ready")
            time.sleep(0.05)

    def run(self, script: str):
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def complaints(self) -> list[dict]:
        """Console errors, uncaught exceptions and entries of the browser's log."""
        self.run("0")
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method in ("Runtime.exceptionThrown", "Log.entryAdded") or (
                method == "Runtime.consoleAPICalled" and params.get("type") in ("error", "warning", "assert")
            ):
                found.append(params)
        return found

    def picture(self, file: Path, selector: str = "html") -> None:
        box = self.run(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return {x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height}; })()"
        )
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True, clip={**box, "scale": 1})
        file.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        os.killpg(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.incoming)
        os.close(self.outgoing)
