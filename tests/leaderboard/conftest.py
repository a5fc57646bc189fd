"""One run directory of all default units, shared by tests that only read it."""

from __future__ import annotations

import pytest

from tests.synthetic import write_run


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """21 finished units; never write into it."""
    return write_run(tmp_path_factory.mktemp("runs") / "acdc_semi")
