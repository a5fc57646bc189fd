import re
import shutil

import h5py
import pytest

from harness.data.prepare import prepare
from tests.data.small_acdc import SmallACDC, write_ssl4mis
from tests.data.test_bad_input import refusal

ADVICE_THAT_LOSES_DATA = re.compile(r"take (it|one|the line)|remove|delete|keep (one|the)")


def count_slices_from_0(root):
    for path in sorted((root / "data" / "slices").glob("*.h5")):
        stem, _, number = path.stem.rpartition("_")
        path.rename(path.with_name(f"{stem}_{int(number) - 1}.h5"))


def test_slices_that_count_from_0_are_read_as_the_published_ones(tmp_path):
    root = write_ssl4mis(tmp_path / "raw")
    published = prepare(SmallACDC(), root, tmp_path / "published").manifest
    count_slices_from_0(root)
    manifest = prepare(SmallACDC(), root, tmp_path / "renumbered").manifest
    assert manifest.checksum == published.checksum
    assert any("slices are numbered from 0" in line for line in manifest.warnings)


def first_slice_lost(root):
    count_slices_from_0(root)
    for path in root.glob("*.list"):
        path.unlink()
    (root / "data" / "slices" / "patient099_frame01_slice_0.h5").unlink()


def two_files_of_a_slice(root):
    slices = root / "data" / "slices"
    shutil.copy(slices / "patient099_frame01_slice_1.h5", slices / "patient099_frame01_slice_01.h5")


def two_files_of_a_frame(root):
    other = shutil.copy(root / "data" / "patient028_frame02.h5", root / "data" / "patient028_frame2.h5")
    with h5py.File(other, "a") as file:
        file["image"][...] = file["image"][()][::-1]


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (first_slice_lost, "patient099_frame01_slice_0.h5: missing slice"),
        (two_files_of_a_slice, "two files of one slice"),
        (two_files_of_a_frame, "different files for one frame"),
    ],
)
def test_other_names_are_explained_and_no_advice_loses_data(damage, text, tmp_path):
    damage(root := write_ssl4mis(tmp_path / "raw"))
    (line,) = refusal([SmallACDC()], root, tmp_path)
    assert text in line
    assert not ADVICE_THAT_LOSES_DATA.search(line)
