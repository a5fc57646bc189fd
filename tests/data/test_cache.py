import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Case
from harness.api.errors import ClosedSplitError, DataError, RecordError
from harness.data.cache import Cache
from harness.data.digests import case_sha256
from harness.data.permit import TestPermit
from harness.records.files import write_record
from harness.records.manifest import MANIFEST, read_manifest
from harness.records.schema import Engine, PlannedRun
from harness.records.suite_folder import Selection, SelectionEntry
from tests.data.small_acdc import SmallACDC, image_of, voxels


@pytest.fixture
def folder(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "cache"))


RUN = "0" * 64


def write_selection(path, run=RUN):
    planned_run = PlannedRun(entry="supervised", labelled=3, subset=0, seed=0)
    entry = SelectionEntry(planned_run=planned_run, params={}, run=run)
    write_record(path, Selection(suite_hash="f" * 64, engine=Engine(), entries=[entry]))
    return path


def test_cases_come_back_as_they_were(folder):
    cache = Cache.open(folder)
    train, val = list(cache.cases("train")), list(cache.cases("val"))
    order = [f"{patient}_{frame}" for patient in SmallACDC.splits["train"] for frame in ("frame01", "frame02")]
    assert [case.id for case in train] == order
    assert [case.id for case in val] == ["patient028_frame01", "patient028_frame02"]
    for case in train + val:
        grey, label = voxels(*case.id.split("_"))
        np.testing.assert_array_equal(case.image, image_of(grey))
        np.testing.assert_array_equal(case.label, label)
        assert case.image.dtype == np.float32
        assert case.label.dtype == np.uint8
    assert cache.reference.checksum == cache.manifest.checksum
    assert (cache.reference.name, cache.reference.version) == ("acdc", 1)


def test_no_development_file_holds_a_test_case(folder):
    with h5py.File(folder / "development.h5") as file:
        assert {id_.split("_")[0] for id_ in file} == {"patient099", "patient038", "patient090", "patient028"}
    with h5py.File(folder / "test.h5") as file:
        assert {id_.split("_")[0] for id_ in file} == {"patient011"}


def test_the_test_split_opens_with_a_permit_alone(folder, tmp_path):
    violations: list[str] = []
    cache = Cache.open(folder, on_violation=violations.append)
    selection, final = tmp_path / "selection.json", tmp_path / "final.json"
    permit = TestPermit(selection, RUN, final)

    with pytest.raises(ClosedSplitError):
        cache.cases("test")
    with pytest.raises(ClosedSplitError, match="without a permit"):
        cache.test_cases(None)  # type: ignore[arg-type]
    with pytest.raises(ClosedSplitError) as closed:
        cache.test_cases(permit)
    assert str(selection) in str(closed.value)
    assert str(final) in str(closed.value)
    write_selection(selection)
    with pytest.raises(ClosedSplitError) as closed:
        cache.test_cases(permit)
    assert str(selection) not in str(closed.value)
    assert str(final) in str(closed.value)
    assert len(violations) == 4

    final.write_text("{}")
    assert [case.id for case in cache.test_cases(permit)] == ["patient011_frame01", "patient011_frame02"]
    assert len(violations) == 4

    write_selection(selection, run="1" * 64)
    with pytest.raises(ClosedSplitError, match="does not name run 0000000000"):
        cache.test_cases(permit)
    selection.write_text('{"schema_version": 1, "rule": "whatever suits"}')
    with pytest.raises(ClosedSplitError, match=r"written by harness 0\.1\.0"):
        cache.test_cases(permit)


def test_what_is_no_whole_cache_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match="not a prepared cache"):
        Cache.open(tmp_path)
    (folder / "development.h5").unlink()
    with pytest.raises(DataError, match=r"without development\.h5"):
        Cache.open(folder)


def test_a_changed_voxel_is_noticed_on_loading(folder):
    with h5py.File(folder / "development.h5", "a") as file:
        file["patient090_frame01"]["image"][0, 0, 0] += 0.001
    with pytest.raises(DataError, match=r"development\.h5: patient090_frame01 does not match its sha256"):
        list(Cache.open(folder).cases("train"))


def test_every_field_of_a_case_changes_its_hash():
    image, label = np.zeros((2, 3, 4), np.float32), np.zeros((2, 3, 4), np.uint8)
    base = Case("a_1", "a", "train", image, label, (10.0, 1.5, 1.5), "ED", "Info.cfg")
    changes: list[Any] = [
        {"id": "a_2"}, {"patient": "b"}, {"split": "val"}, {"image": image + 1}, {"label": label + 1},
        {"spacing_mm": (8.0, 1.5, 1.5)}, {"spacing_mm": None}, {"phase": "ES"},
        {"image": image.reshape(2, 4, 3), "label": label.reshape(2, 4, 3)},
    ]  # fmt: skip
    variants = [base, *(replace(base, **change) for change in changes)]
    assert len({case_sha256(variant) for variant in variants}) == len(variants)
    assert case_sha256(base) == case_sha256(replace(base, phase_source="header"))


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_of_a_manifest_is_refused(position, bit, tmp_path_factory, original):
    content = bytearray((original / MANIFEST).read_bytes())
    content[position % len(content)] ^= 1 << bit
    path = tmp_path_factory.mktemp("flip") / MANIFEST
    path.write_bytes(content)
    with pytest.raises((DataError, RecordError), match=str(path)):
        read_manifest(path)
