import gzip
import re
import shutil
from pathlib import Path

import h5py
import pytest

from harness.api import DataError
from harness.data.prepare import prepare
from tests.data.small_acdc import SmallACDC, voxels, write_nifti, write_official, write_ssl4mis
from tests.data.test_bad_input import refusal

ADVICE_THAT_LOSES_DATA = re.compile(r"take (it|one|the line)|remove|delete|keep (one|the)")
SLICES = re.compile(r"(.*_slice_)(\d+)\.h5")


def number_slices(root, number):
    """Give each slice another number, the last ones first or last so that none is written over."""
    files = [(SLICES.fullmatch(str(path)), path) for path in (root / "data" / "slices").glob("*.h5")]
    moved = [(path, Path(f"{match[1]}{number(int(match[2]))}.h5.new")) for match, path in files if match]
    for old, new in moved:
        old.rename(new)
    for _, new in moved:
        new.rename(new.with_suffix(""))


def number_frames(root, old, new, only=""):
    for path in list(root.rglob(f"{only}*{old}*")):
        path.rename(path.with_name(path.name.replace(old, new)))


def drop_lists(root):
    for path in root.glob("*.list"):
        path.unlink()


def rewrite(path, write):
    path.write_bytes(write(path.read_text()))


def into_folder(path):
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / path.name).write_bytes(content)


def steps(*changes):
    def apply(root):
        for change in changes:
            change(root)

    return apply


READ_AS_PUBLISHED = {
    "slices from 0, lists from 1": lambda root: number_slices(root, lambda z: z - 1),
    "one patient's frames 04 and 11": steps(
        lambda root: number_frames(root, "frame02", "frame11", "patient090"),
        lambda root: number_frames(root, "frame01", "frame04", "patient090"),
    ),
    "slices from 0 and frames by their numbers": steps(
        drop_lists,
        lambda root: number_frames(root, "frame02", "frame10"),
        lambda root: number_slices(root, lambda z: z - 1),
    ),
    "UTF-16, big end first": lambda root: rewrite(
        root / "train_slices.list", lambda text: b"\xfe\xff" + text.encode("utf-16-be")
    ),
    "Windows line ends and a mark": lambda root: rewrite(
        root / "train.list", lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    ),
}


def prepared(root, home):
    manifest = prepare(SmallACDC(), root, home).manifest
    return manifest.checksum, manifest.warnings


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    return write_ssl4mis(folder / "raw"), prepared(folder / "raw", folder / "cache")[0]


@pytest.mark.parametrize("change", READ_AS_PUBLISHED)
def test_names_that_say_the_same_are_read_as_the_published_ones(change, published, tmp_path):
    root = Path(shutil.copytree(published[0], tmp_path / "raw"))
    READ_AS_PUBLISHED[change](root)
    checksum, warnings = prepared(root, tmp_path / "after")
    assert checksum == published[1]
    said = {"lists from 1": "slices are numbered from 0", "their numbers": "frames have numbers of their own"}
    for words, text in said.items():
        assert (words in change) <= any(text in line for line in warnings), warnings


def copy_of(name, other, change=lambda image: image):
    def apply(root):
        shutil.copy(root / name, root / other)
        with h5py.File(root / other, "a") as file:
            file["image"][...] = change(file["image"][()])

    return apply


def first_slice_lost(root):
    number_slices(root, lambda z: z - 1)
    drop_lists(root)
    (root / "data" / "slices" / "patient099_frame01_slice_0.h5").unlink()


EXPLAINED = {
    "first slice lost where all count from 0": (first_slice_lost, "patient099_frame01_slice_0.h5: missing slice"),
    "two files of a slice": (
        copy_of("data/slices/patient099_frame01_slice_1.h5", "data/slices/patient099_frame01_slice_01.h5"),
        "two files of one slice",
    ),
    "one frame of another number": (
        steps(
            lambda root: (root / "data/patient028_frame02.h5").unlink(),
            lambda root: number_frames(root, "frame01", "frame05", "patient028"),
        ),
        "patient028 has frame05, where two annotated frames are expected",
    ),
    "two files of a frame": (
        copy_of("data/patient028_frame02.h5", "data/patient028_frame2.h5", lambda image: image[::-1]),
        "different files for one frame",
    ),
    "a folder of two files": (
        steps(
            lambda root: into_folder(root / "data/patient011_frame01.h5"),
            lambda root: (root / "data/patient011_frame01.h5/other.h5").write_bytes(b""),
        ),
        "patient011_frame01.h5: is a folder",
    ),
}


@pytest.mark.parametrize("change", EXPLAINED)
def test_other_names_are_explained_and_no_advice_loses_data(change, published, tmp_path):
    root = Path(shutil.copytree(published[0], tmp_path / "raw"))
    make, text = EXPLAINED[change]
    make(root)
    (line,) = refusal([SmallACDC()], root, tmp_path)
    assert text in line
    assert not ADVICE_THAT_LOSES_DATA.search(line)


OFFICIAL = {
    "packed and unpacked": lambda folder: unpacked(folder / "patient028_frame01.nii.gz"),
    "without leading zero": lambda folder: number_frames(folder, "frame0", "frame"),
}


def unpacked(path):
    other = path.with_suffix("")
    other.write_bytes(gzip.decompress(path.read_bytes()))
    return other


@pytest.mark.parametrize("change", OFFICIAL)
def test_official_files_are_found_under_other_names(change, tmp_path):
    root = write_official(tmp_path / "raw")
    expected, _ = prepared(root, tmp_path / "before")
    OFFICIAL[change](root / "patient028")
    assert prepared(root, tmp_path / "after")[0] == expected


@pytest.mark.parametrize("ending", ["", "_gt"])
def test_two_different_files_of_an_official_frame_are_refused(ending, tmp_path):
    root = write_official(tmp_path / "raw")
    write_nifti(root / "patient028" / f"patient028_frame01{ending}.nii", voxels("patient028", "frame02")[bool(ending)])
    with pytest.raises(
        DataError, match=rf"frame01{ending}\.nii and .*frame01{ending}\.nii\.gz: different files for one"
    ):
        prepare(SmallACDC(), root, tmp_path / "cache")
