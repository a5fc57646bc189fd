import pytest

from harness.data.prepare import prepare
from tests.data.small_acdc import SmallACDC, write_ssl4mis


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return prepare(SmallACDC(), write_ssl4mis(folder / "raw"), folder / "cache").folder
