"""One real run that most verbs are tested on, and one tree of tiny scans; each made once a session."""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.ground import DEAD_URI, tiny_acdc, write_suite
from tests.support import run_cli


@dataclass(frozen=True)
class FinishedRun:
    """A folder in which `harness run` was called; never write into it.

    code, stdout, stderr: of that call.
    """

    folder: Path
    code: int
    stdout: str
    stderr: str

    @property
    def suite(self):
        return self.folder / "tiny.yaml"

    @property
    def runs(self):
        return self.folder / "runs"


def shared(factory, name, build):
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / name
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            (folder / "built").touch()
    return folder


def run_once(factory, cache, name, write, *options):
    def build(folder):
        write(folder)
        run = ("run", "--suite", "tiny.yaml", "--executor", "inline", *options)
        done = run_cli(*run, cwd=folder, env={"HARNESS_CACHE": str(cache), "HARNESS_DATA": None}, code=None)
        for part, text in (("code", str(done.returncode)), ("stdout", done.stdout), ("stderr", done.stderr)):
            (folder / part).write_text(text)

    folder = shared(factory, name, build)
    code, stdout, stderr = ((folder / part).read_text() for part in ("code", "stdout", "stderr"))
    return FinishedRun(folder, int(code), stdout, stderr)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, session_cache):
    return run_once(tmp_path_factory, session_cache, "finished", write_suite, "--tracking-uri", DEAD_URI)


@pytest.fixture(scope="session")
def scans_16(tmp_path_factory):
    return shared(tmp_path_factory, "scans", lambda folder: tiny_acdc(folder / "ACDC")) / "ACDC"


@pytest.fixture
def records(finished, tmp_path):
    return Path(shutil.copytree(finished.runs, tmp_path / "runs"))
