"""What all tests share."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported, and for all processes that tests start: two workers share the cores.
os.environ["OMP_NUM_THREADS"] = "1"

settings.register_profile("toolwise", deadline=None)  # tests never time
settings.load_profile("toolwise")


@pytest.fixture(scope="session", autouse=True)
def interrupts_arrive():
    """A run in the background of a shell ignores Ctrl-C, and so would everything it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def shared_dir():
    """The folder of public data beside the checkout; the test is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("the public data sets are not beside the checkout")
    return folder


class Frontier:
    """A running test double of a frontier model (see `frontier_double`)."""

    def __init__(self, process, port):
        self.process, self.url = process, f"http://127.0.0.1:{port}/v1"

    def log(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url.removesuffix("/v1") + "/requests") as answer:
            return json.load(answer)

    @property
    def requests(self):
        return self.log()["requests"]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def frontier(tmp_path):
    """Starts test doubles of a frontier model, each a process on loopback: ``frontier(**script)``."""
    running = []

    def start(**script) -> Frontier:
        path = tmp_path / f"frontier-{len(running)}.json"
        path.write_text(json.dumps(script))
        program = Path(__file__).with_name("frontier_double.py")
        process = subprocess.Popen([sys.executable, program, path], stdout=subprocess.PIPE, text=True)
        running.append(Frontier(process, int(process.stdout.readline())))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def vllm(tmp_path):
    """Starts test doubles of vLLM servers, each a process on loopback: ``vllm(**script)``."""
    from vllm_doubles import Running

    running = []

    def start(port=0, **script):
        running.append(Running(script, tmp_path / f"vllm-{len(running)}.json", port))
        return running[-1]

    yield start
    for server in running:
        server.stop()
