"""VLLMServer: a vLLM server as a child of this process, on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from toolwise.core import ToolwiseError
from toolwise.sampling import child_watch
from toolwise.sampling.config import VLLMConfig, VLLMStart
from toolwise.sampling.http import read_key

_MODULE = "vllm.entrypoints.openai.api_server"
"""Started as a module: vLLM's CPU package has a command that fails when it looks for its own version."""
_TAIL = 12
_SAY_EVERY = 15.0


class VLLMServer:
    """One server process; nothing of it outlives this process.

    Args:
        command: Program and arguments, run without a shell.
        url: Where it will listen.
        log: File that its output is appended to.
        environment: All its environment variables.
    """

    def __init__(self, command: Sequence[str], url: str, log: Path, environment: Mapping[str, str]) -> None:
        self.command, self.url, self.log = list(command), url, log
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process group of the server; 0 where none runs."""
        return self._process.pid if self._process is not None and self.alive else 0

    def start(self) -> None:
        """Start it, or start it again; return before it listens.

        Raises:
            ToolwiseError: The program cannot be run, or the log cannot be written.
        """
        self.stop()
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, child_watch.__file__, *self.command],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise ToolwiseError(
                f"the server cannot be started: {error}", where=self.url, mend=f"check {self.log.parent}"
            ) from error
        self.starts += 1

    def stop(self) -> None:
        """End it and all that it started; returns when they are gone."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(child_watch.PATIENCE + 5)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def tail(self) -> str:
        """The last lines of its output."""
        with suppress(OSError):
            return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-_TAIL:])
        return ""

    def ended(self) -> ToolwiseError:
        """What to raise where it has ended although nobody asked it to."""
        return ToolwiseError(
            f"the vLLM server has ended; its last lines:\n{self.tail()}",
            where=self.url,
            mend=f"all it said is in {self.log}",
        )

    def wait_until_ready(self, limit: float, say: Callable[[str], None]) -> None:
        """Return when it answers.

        Args:
            limit: Seconds from now.
            say: Hears every now and then that it is still starting.

        Raises:
            ToolwiseError: It ended, or did not answer in time; its output is named.
        """
        import httpx2

        begun = said = time.monotonic()
        with httpx2.Client(trust_env=False, timeout=10.0) as http:
            while True:
                with suppress(httpx2.RequestError):
                    if http.get(f"{self.url}/health").status_code == 200:
                        return
                if not self.alive:
                    raise self.ended()
                now = time.monotonic()
                if now - begun > limit:
                    self.stop()
                    raise ToolwiseError(
                        f"the vLLM server does not answer after {limit:g} s; its last lines:\n{self.tail()}",
                        where=self.url,
                        mend=f"read {self.log}; a longer start: sampler.start.startup",
                    )
                if now - said >= _SAY_EVERY:
                    said = now
                    say(f"{self.url} is starting ({now - begun:.0f} s)")
                time.sleep(0.25)


def planned_servers(
    config: VLLMConfig, start: VLLMStart, model: Path, logs: Path, *, context: int, processed: bool
) -> list[VLLMServer]:
    """The servers that a configuration asks for, not started yet.

    Args:
        config: The sampler.
        start: Its servers.
        model: Folder with the model in the Hugging Face layout.
        logs: Folder of their output.
        context: Most tokens that prompt and sample may have together.
        processed: Log-probabilities are those at the sampling temperature, after a cut; else the raw ones.

    Raises:
        ToolwiseError: The interpreter is not there, or no port is free.
    """
    python = start.python or Path(sys.executable)
    if not python.is_file():
        raise ToolwiseError(
            "there is no such program", where=f"sampler.start.python: {python}", mend="name vLLM's python"
        )
    servers = []
    for place, port in enumerate(_ports(start)):
        command = [str(python), "-m", _MODULE, "--model", str(model.resolve()), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--served-model-name", config.model, "--dtype", start.dtype]
        command += ["--max-model-len", str(context), "--enable-scale-out"]
        command += ["--logprobs-mode", "processed_logprobs" if processed else "raw_logprobs"]
        command += ["--enforce-eager"] if start.eager else []
        if start.memory_share is not None:
            command += ["--gpu-memory-utilization", str(start.memory_share)]
        command += ["--enable-sleep-mode"] if start.sleep else []
        if config.weights == "nccl":
            command += ["--weight-transfer-config", json.dumps({"backend": "nccl"})]
        environment = _environment(start, read_key(config.api_key_env))
        if start.devices:
            environment["CUDA_VISIBLE_DEVICES"] = start.devices[place]
        url = f"http://127.0.0.1:{port}"
        servers.append(
            VLLMServer([*command, *start.arguments], url, logs / f"server-{place}.log", environment)
        )
    return servers


def _environment(start: VLLMStart, key: str) -> dict[str, str]:
    # Another interpreter must not find this one's packages.
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    own |= {"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    if key:
        own["VLLM_API_KEY"] = key
    return own | start.environment


def _ports(start: VLLMStart) -> list[int]:
    if start.port:
        return list(range(start.port, start.port + start.servers))
    # All are held until all are found, so that none is given twice.
    listeners = [socket.socket() for _ in range(start.servers)]
    try:
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in listeners]
    except OSError as error:
        raise ToolwiseError(
            f"no port is free: {error}", where="sampler.start.port", mend="name the first port"
        ) from error
    finally:
        for listener in listeners:
            listener.close()
