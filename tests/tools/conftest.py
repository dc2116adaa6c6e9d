"""The isolation engines that work on this machine."""

import threading
import time

import pytest
from sandboxes import built, sandbox_processes


@pytest.fixture(scope="session", params=["bubblewrap", "wasi"])
def engine(request):
    """Each engine, with time enough for any package."""
    return built(request.param, seconds=20)


@pytest.fixture(scope="session", params=["bubblewrap", "wasi"])
def hurried(request):
    """Each engine, with the shortest time."""
    return built(request.param, seconds=1)


@pytest.fixture(scope="session")
def bubblewrap():
    return built("bubblewrap", seconds=20)


@pytest.fixture
def run(engine):
    return lambda source: engine.run(source, threading.Event())


@pytest.fixture
def no_process_left():
    """After the test, no process of a sandbox is left, not even as a zombie; a cancelled one ends soon."""
    before = sandbox_processes()
    yield
    patience = time.monotonic() + 20
    while not set(sandbox_processes()) <= set(before) and time.monotonic() < patience:
        time.sleep(0.05)
    assert set(sandbox_processes()) <= set(before)
