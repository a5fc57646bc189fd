"""A cluster for the tests of this folder: one for each pytest process, brought up when the first test asks for it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, running_cluster
from tests.train.fixtures import make_tiny, one_thread, plugin_folder

__all__ = ["make_tiny", "one_thread", "plugin_folder", "slurm", "slurm_cluster"]


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Cluster]:
    """A real Slurm with accounting; parallel pytest processes have one each, so that no test meets another's jobs."""
    folder = Path(tempfile.mkdtemp(prefix="harness-slurm-"))
    try:
        with running_cluster(folder) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def slurm(slurm_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, idle, and SLURM_CONF set to it; jobs that a test leaves are cancelled."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.conf))
    yield slurm_cluster
    slurm_cluster.clear()
