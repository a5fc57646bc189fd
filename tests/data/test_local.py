from dataclasses import replace

import pytest

from harness.api.errors import ClosedSplitError
from harness.data.cache import Cache
from harness.data.local import local_copy, local_home
from harness.data.permit import TestPermit


@pytest.fixture
def cache(original):
    return Cache.open(original)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_copy_holds_the_same_bytes_and_is_made_once(cache, tmp_path, said):
    copy = local_copy(cache, tmp_path / "node")
    assert copy.folder.is_relative_to(tmp_path / "node")
    assert files(copy.folder) == files(cache.folder)
    assert copy.reference == cache.reference
    assert [case.id for case in copy.cases("train")] == [case.id for case in cache.cases("train")]
    before = (copy.folder / "manifest.json").stat()
    assert local_copy(cache, tmp_path / "node") == copy
    assert (copy.folder / "manifest.json").stat() == before
    assert len(said) == 1


def test_test_cases_stay_behind_the_permit(cache, tmp_path):
    violations: list[str] = []
    copy = local_copy(replace(cache, on_violation=violations.append), tmp_path)
    with pytest.raises(ClosedSplitError):
        copy.cases("test")
    with pytest.raises(ClosedSplitError):
        copy.test_cases(TestPermit(tmp_path / "selection.json", "0" * 64, tmp_path / "final.json"))
    assert len(violations) == 2


def test_a_half_made_copy_is_made_again(cache, tmp_path):
    copy = local_copy(cache, tmp_path)
    left = copy.folder.with_name(f".{copy.folder.name}.copy-dead")
    left.mkdir()
    (copy.folder / "manifest.json").unlink()
    assert files(local_copy(cache, tmp_path).folder) == files(cache.folder)
    assert not left.exists()


@pytest.mark.parametrize("named", ["$NO_SUCH_DISK", "/tmp/$NO_SUCH_DISK/data", "relative"])
def test_a_folder_that_this_node_does_not_name_is_never_made(named, cache, tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_LOCAL_DATA", named)
    assert local_copy(cache, local_home()) == cache
    assert [line.startswith(f"warning: HARNESS_LOCAL_DATA={named} is no absolute path") for line in said] == [True]
    assert list(tmp_path.iterdir()) == []
