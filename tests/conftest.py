"""What all tests share."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

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
