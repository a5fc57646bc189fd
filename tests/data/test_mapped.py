import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api.errors import ClosedSplitError
from harness.data import mapped
from harness.data.cache import Cache
from harness.data.mapped import map_cases
from harness.data.preprocess import preprocess
from harness.records.schema import Preprocessing
from tests.cli.ground import small_disk
from tests.support import LIMIT_SECONDS, command_environment

AT_32 = Preprocessing(size=(32, 32), resize="area")
AT_256 = Preprocessing(size=(256, 256))
MAP = """
import logging, sys; from pathlib import Path
from harness.data import mapped; from harness.data.cache import Cache; from harness.records.schema import Preprocessing
logging.basicConfig(stream=sys.stdout, level="INFO", format="%(message)s")
asked = Cache.open(Path(sys.argv[1])), "train", Preprocessing(size=(256, 256))
"""


@pytest.fixture
def cache(original, tmp_path):
    return Cache.open(Path(shutil.copytree(original, tmp_path / "cache")))


def in_memory(cache, preprocessing):
    return preprocess(cache.manifest.of("train"), cache.cases("train"), preprocessing)


def equal(first, second):
    names = ("images", "labels", "native")
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)


def assert_mapped(cache, preprocessing):
    assert equal(map_cases(cache, "train", preprocessing), in_memory(cache, preprocessing))


def files(cache):
    return sorted(cache.folder.glob("*.pt"))


@contextmanager
def processes(count, code, cache):
    """Processes that run MAP and then `code`, until their standard input ends; killed at the latest here."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MAP + code, str(cache.folder)],
            env=command_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(count)
    ]  # fmt: skip
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_a_mapping_holds_what_memory_would_and_is_made_once(cache, said):
    first = map_cases(cache, "train", AT_32)
    assert equal(first, in_memory(cache, AT_32))
    (path,) = files(cache)
    assert path.name.startswith("train-32x32-area-")
    before = path.stat()
    assert equal(map_cases(cache, "train", AT_32), first)
    assert path.stat() == before
    assert len(said) == 1
    assert str(path) in said[0]


@pytest.mark.parametrize("change", ["split", "preprocessing", "protocol", "torch"])
def test_what_changes_the_bits_has_a_file_of_its_own(change, cache, monkeypatch, said):
    map_cases(cache, "train", AT_32)
    if change == "protocol":
        monkeypatch.setattr(mapped, "PROTOCOL_VERSION", 10**6)
    if change == "torch":
        monkeypatch.setattr(torch, "__version__", "0.1")
    nearest = Preprocessing(size=(32, 32))
    map_cases(cache, "val" if change == "split" else "train", nearest if change == "preprocessing" else AT_32)
    assert len(files(cache)) == len(said) == 2


def test_who_writes_into_a_mapping_changes_memory_of_its_own(cache):
    data = map_cases(cache, "train", AT_32)
    (path,) = files(cache)
    content = path.read_bytes()
    data.images.fill_(7.0)
    data.native.zero_()
    assert path.read_bytes() == content
    assert_mapped(cache, AT_32)


def test_the_test_split_is_never_mapped(cache):
    before = sorted(cache.folder.iterdir())
    with pytest.raises(ClosedSplitError):
        map_cases(cache, "test", AT_32)
    assert sorted(cache.folder.iterdir()) == before


def test_a_file_of_other_data_is_made_again(cache, said):
    map_cases(cache, "train", AT_32)
    (path,) = files(cache)
    torch.save(torch.load(path, weights_only=True) | {"origin": "0" * 64}, path)
    said.clear()
    assert_mapped(cache, AT_32)
    assert len(said) == 2
    assert said[0].startswith(f"warning: {path}: damaged or not ours")
    assert_mapped(cache, AT_32)
    assert len(said) == 2


@settings(max_examples=20)
@given(position=st.integers(0, 10**7), bit=st.integers(0, 7))
def test_a_flipped_bit_never_reaches_training(position, bit, original, tmp_path_factory):
    cache = Cache.open(Path(shutil.copytree(original, tmp_path_factory.mktemp("flip") / "cache")))
    expected = preprocess(cache.manifest.of("val"), cache.cases("val"), AT_32)
    map_cases(cache, "val", AT_32)
    (path,) = files(cache)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    path.write_bytes(content)
    assert equal(map_cases(cache, "val", AT_32), expected)


def test_a_full_disk_costs_a_message_and_leaves_nothing(original, tmp_path, said):
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        cache = Cache.open(Path(shutil.copytree(original, disk / "cache")))
        assert_mapped(cache, AT_256)
        assert said == [said[0]]
        assert "cannot be shared (No space left on device)" in said[0]
        assert not [path for path in disk.rglob("*") if "train-" in path.name and path.stat().st_size]


@pytest.mark.slow
def test_what_a_killed_process_left_half_made_is_removed(cache):
    dies = """
import os, signal
def half(content, path):
    path.write_bytes(bytes(1000))
    os.kill(os.getpid(), signal.SIGKILL)
mapped.save_tensors = half
mapped.map_cases(*asked)
"""
    with processes(1, dies, cache) as (process,):
        process.communicate(timeout=LIMIT_SECONDS)
        assert process.returncode == -9
    (left,) = [path for path in cache.folder.glob(".train-*") if path.stat().st_size]
    assert_mapped(cache, AT_256)
    assert not left.exists()


@pytest.mark.slow
def test_processes_make_one_mapping(cache):
    code = """
data = mapped.map_cases(*asked)
print(float(data.images.sum() + data.labels.sum() + data.native.sum()))
"""
    with processes(2, code, cache) as started:
        said = [process.communicate(timeout=LIMIT_SECONDS)[0].splitlines() for process in started]
    first, second = (lines.pop() for lines in said)
    assert first == second
    assert sum(map(len, said)) == 1, "one of them said that it made the file"
    assert len(files(cache)) == 1
    assert_mapped(cache, AT_256)
