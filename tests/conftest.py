import fcntl
import logging
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings

from tests.services import require_ray
from tests.support import MACHINE_CACHE, REPO, SHARED_DATA, require

settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("explore", settings.get_profile("ci"), derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HARNESS_HYPOTHESIS", "ci"))

FOREIGN_VARIABLES = ("HARNESS_DATA", "HARNESS_LOCAL_DATA", "RAY_ADDRESS", "PYTHONSTARTUP")
"""A developer's own settings that would change what the command line does, beside every MLFLOW_*."""

SERVICE_FOLDERS, SLOW_FOLDERS = frozenset({"browser", "tracking"}), frozenset({"cli"})
SERVICE_FIXTURES = frozenset({"slurm_cluster", "_ray"})
"""Folders of tests/ whose tests stand on a service or start the command line, and fixtures that bring a service up.

Other tests of these tiers are marked where they stand.
"""


def pytest_collection_modifyitems(items):
    for item in items:
        folder = item.path.relative_to(REPO / "tests").parts[0]
        if folder in SERVICE_FOLDERS or SERVICE_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.service)
        if folder in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory):
    """One folder for HARNESS_CACHE, shared by the parallel workers of a session and empty when it starts."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    cache = base / "harness-cache"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture(autouse=True)
def isolated(monkeypatch, session_cache):
    """Nothing of the developer's own set-up reaches a test, nor the other way round, nor of one test the next."""
    if "torch" in sys.modules:  # a run that ran in this process flushes subnormals, which hypothesis wants to draw
        sys.modules["torch"].set_flush_denormal(False)
    monkeypatch.setenv("HARNESS_CACHE", str(session_cache))
    for name in (*FOREIGN_VARIABLES, *(name for name in os.environ if name.startswith("MLFLOW_"))):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def phantoms(session_cache):
    """The prepared cache of the generated dataset."""
    from harness.data.prepare import resolve
    from harness.suite.registry import load_dataset

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(session_cache))
        return resolve(load_dataset("phantom"), None)


@pytest.fixture(scope="session")
def _ray():
    require_ray()


class _Collector(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record):
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        self.lines.append(f"{level}{record.getMessage()}")


@pytest.fixture
def said(monkeypatch):
    """What the harness logs in this process, a message each."""
    collector, logger = _Collector(), logging.getLogger("harness")
    monkeypatch.setattr(logger, "handlers", [collector])
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    logger.setLevel(logging.INFO)  # which also clears what loggers remember of levels
    return collector.lines


@pytest.fixture(scope="session")
def scans():
    """The real ACDC in the field's h5 layout (data/, data/slices/, *.list); read-only by agreement."""
    packed = SHARED_DATA / "acdc.h5"
    require("scans", packed.exists(), f"no real scans beside the checkout ({SHARED_DATA.name}/acdc.h5)")
    stat = packed.stat()
    target = MACHINE_CACHE / f"acdc-{stat.st_size}-{stat.st_mtime_ns}"
    MACHINE_CACHE.mkdir(mode=0o700, exist_ok=True)
    with _locked(MACHINE_CACHE / "scans.lock"):
        if not target.exists():
            _unpack(target)
    return target / "ACDC"


@pytest.fixture(scope="session")
def la_scans(tmp_path_factory):
    """Five real volumes of the left atrium, those of `tests.data.small_la`, in UA-MT's layout with both lists."""
    packed = SHARED_DATA / "la_a.h5"
    require("scans", packed.exists(), f"no real scans beside the checkout ({SHARED_DATA.name}/la_a.h5)")
    import h5py

    from tests.data.small_la import PATIENTS, SPLITS

    root = tmp_path_factory.mktemp("la")
    few = root / "packed"
    (few / "lists" / "la").mkdir(parents=True)
    with h5py.File(packed, locking=False) as everyone, h5py.File(few / packed.name, "w") as chosen:
        for patient in PATIENTS:
            everyone.copy(patient, chosen)
    for name, splits in (("train", ("train", "val")), ("test", ("test",))):
        lines = [patient for split, patients in SPLITS.items() if split in splits for patient in patients]
        (few / "lists" / "la" / f"{name}.list").write_text("".join(f"{line}\n" for line in lines))
    shutil.copy(SHARED_DATA / "unpack.py", few)
    command = [sys.executable, str(few / "unpack.py"), str(root), "--only", "la"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return root / "LA"


def _unpack(target):
    """Unpack beside `target`, then rename: a killed session leaves no half of it."""
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    command = [sys.executable, str(SHARED_DATA / "unpack.py"), str(aside), "--only", "acdc"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    aside.rename(target)


@contextmanager
def _locked(path):
    """Hold the lock file; the system lets go of it when the process ends, however that happens."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
