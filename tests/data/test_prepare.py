import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.phantom import Phantom
from harness.api.errors import DataError, DiskError
from harness.data.cache import Cache
from harness.data.prepare import prepare, resolve
from tests.data.small_acdc import SmallACDC, write_ssl4mis
from tests.support import LIMIT_SECONDS, REPO, command_environment


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "caches"))
    return tmp_path / "caches"


@pytest.fixture
def raw(tmp_path):
    return write_ssl4mis(tmp_path / "raw")


def test_a_raw_folder_is_prepared_once(raw, home, monkeypatch, said):
    first = resolve(SmallACDC(), raw)
    assert len(said) == 1
    assert said[0] == f"preparing acdc (ssl4mis-h5) from {raw} into {first.folder}"
    assert first.folder.parent == home
    monkeypatch.setenv("HARNESS_DATA", str(raw))
    again = resolve(SmallACDC(), None)
    assert len(said) == 1
    assert (again.folder, again.manifest) == (first.folder, first.manifest)
    assert [path.name for path in home.iterdir()] == [first.folder.name]
    assert sorted(path.name for path in first.folder.iterdir()) == ["development.h5", "manifest.json", "test.h5"]


def test_a_changed_source_is_prepared_anew(raw, home):
    before = resolve(SmallACDC(), raw)
    path = raw / "data" / "patient028_frame01.h5"
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    after = resolve(SmallACDC(), raw)
    assert after.folder != before.folder
    assert after.manifest == before.manifest  # the content is what counts for results


def test_absent_and_unknown_folders_are_one_message(tmp_path, home):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        resolve(SmallACDC(), tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.csv").write_text("belongs to another program")
    with pytest.raises(DataError, match="neither a prepared cache nor a known layout of acdc") as refused:
        resolve(SmallACDC(), tmp_path / "other")
    for text in (str(tmp_path / "other"), "ssl4mis-h5: data/patientXXX", "official: patientXXX/", "Info.cfg"):
        assert text in str(refused.value)
    assert not home.exists()


def test_an_occupied_destination_is_left_alone(raw, tmp_path):
    occupied = tmp_path / "mine"
    occupied.mkdir()
    (occupied / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="mine: exists and is not a cache"):
        prepare(SmallACDC(), raw, occupied)
    assert [path.name for path in occupied.iterdir()] == ["thesis.tex"]


@pytest.fixture
def small_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_leaves_nothing_behind(raw, tmp_path):
    home = tmp_path / "caches"
    home.mkdir()
    with pytest.raises(DiskError, match="cannot be written") as refused:
        prepare(SmallACDC(), raw, home / "acdc")
    assert str(home / "acdc") in str(refused.value)
    assert list(home.iterdir()) == []


def test_two_processes_may_prepare_at_once(raw, home):
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.data.small_acdc import SmallACDC; from harness.data.prepare import resolve\n"
        "print(resolve(SmallACDC(), Path(sys.argv[1])).folder)\n"
    )
    command = [sys.executable, "-c", program, str(raw)]
    environment = command_environment({"HARNESS_CACHE": str(home)})
    processes = [subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    printed = {process.communicate(timeout=LIMIT_SECONDS)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(printed) == 1
    assert [str(path) for path in home.iterdir()] == list(printed)
    assert len(list(Cache.open(Path(printed.pop())).cases("train"))) == 6


def test_another_datasets_cache_is_refused(raw, tmp_path):
    folder = prepare(SmallACDC(), raw, tmp_path / "cache").folder
    with pytest.raises(DataError, match="holds acdc version 1, not phantom version"):
        resolve(Phantom(), folder)
