"""One run directory of all default runs, shared by tests that only read it."""

import pytest

from tests.synthetic import write_records


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """21 finished runs; never write into it."""
    return write_records(tmp_path_factory.mktemp("runs") / "acdc_semi")
