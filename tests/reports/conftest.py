import pytest
from synthetic_run import write_run


@pytest.fixture(scope="session")
def made_up_run(tmp_path_factory):
    """A run with four stages; tests read it and write their pages elsewhere."""
    return write_run(tmp_path_factory.mktemp("runs") / "made-up")
