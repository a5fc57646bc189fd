import pytest

from tests.synthetic import write_records


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("runs") / "acdc_semi")
