"""A cluster for the tests of this folder: one for each pytest process, brought up when the first test asks for it."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.slurm.cluster import running_cluster
from tests.train.fixtures import make_tiny, one_thread, plugin_folder

__all__ = ["make_tiny", "one_thread", "plugin_folder", "slurm", "slurm_cluster"]


@pytest.fixture(scope="session")
def slurm_cluster():
    folder = Path(tempfile.mkdtemp(prefix="harness-slurm-"))
    try:
        with running_cluster(folder) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def slurm(slurm_cluster, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.conf))
    yield slurm_cluster
    slurm_cluster.clear()
