import os

import pytest
import torch

from tests.support import REPO
from tests.train.tiny import Tiny, install, write_suite


@pytest.fixture(scope="module")
def plugin_folder(tmp_path_factory, session_cache):
    """The installed plug-in, importable here too; and the cache folder for fixtures that outlive a test."""
    folder = tmp_path_factory.mktemp("site")
    install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(session_cache))
        patch.delenv("HARNESS_DATA", raising=False)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(REPO)]))
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def make_tiny(tmp_path_factory, plugin_folder, session_cache):
    """Make a suite in a folder of its own; processes that it starts know plug-in and cache."""

    def make(methods, **changes):
        root = tmp_path_factory.mktemp("tiny")
        environment = {
            "PYTHONPATH": os.pathsep.join([str(plugin_folder), str(REPO)]),
            "HARNESS_CACHE": str(session_cache),
            "HARNESS_DATA": None,
            "OMP_NUM_THREADS": "1",
        }
        return Tiny(root, write_suite(root, methods, **changes), environment)

    return make
