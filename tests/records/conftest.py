from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the tests of leases put one, alone in its folder."""
    return tmp_path / "lease"
