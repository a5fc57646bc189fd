import nrrd
import numpy as np
import pytest
import SimpleITK

from harness.api import DataError
from harness.prediction.scan_files import label_name, list_scans, read_channels, write_labels
from tests.data.headers import Nifti

SHAPE = (6, 5, 4)
GREY = np.arange(120, dtype=np.int16).reshape(SHAPE)
TURN = np.array([[0.0, -0.8, 0.6], [1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])
"""Oblique, and right-handed as NIfTI and ITK both keep it."""


def write(path, grey=GREY, shift=0):
    """A scan by ITK, which shares no code with the harness."""
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(grey.transpose(2, 1, 0)))
    image.SetSpacing((1.5, 1.25, 8.0))
    image.SetOrigin((-31.5 + shift, 12.0, 99.0))
    image.SetDirection(TURN.ravel().tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"])
def test_labels_lie_where_the_scan_lies(tmp_path, ending):
    source = write(tmp_path / f"heart{ending}")
    (scan,) = list_scans(tmp_path, 1)
    voxels, geometry = read_channels(scan.files)
    assert np.array_equal(voxels, GREY)
    assert geometry.spacing_mm == pytest.approx((1.5, 1.25, 8.0))
    labels = np.random.default_rng(0).integers(0, 4, SHAPE, dtype=np.uint8)
    out = tmp_path / "out" / label_name(scan)
    write_labels(labels, source, out)
    assert [path.name for path in out.parent.iterdir()] == [label_name(scan)], "one file"
    theirs, mine = SimpleITK.ReadImage(str(source)), SimpleITK.ReadImage(str(out))
    assert np.array_equal(SimpleITK.GetArrayFromImage(mine).transpose(2, 1, 0), labels)
    for place in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(mine, place)() == pytest.approx(getattr(theirs, place)())


@pytest.mark.parametrize("header", [Nifti(sform=1, rows=[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]), Nifti(units=3)])
def test_what_a_header_says_of_geometry_stays_byte_by_byte(tmp_path, header):
    source = header.write(tmp_path / "a.nii")
    write_labels(np.ones(SHAPE, np.uint8), source, tmp_path / "out.nii")
    theirs, mine = source.read_bytes(), (tmp_path / "out.nii").read_bytes()
    for first, last in ((76, 92), (123, 124), (252, 328)):  # pixdim, xyzt_units, both forms
        assert mine[first:last] == theirs[first:last]


def test_labels_lie_where_a_scan_of_an_unnamed_space_lies(tmp_path):
    written = {"space dimension": 3, "space directions": np.diag([1.5, 1.25, 8.0]), "space origin": [1, 2, 3]}
    nrrd.write(str(tmp_path / "a.nrrd"), GREY, written)
    write_labels(np.ones(SHAPE, np.uint8), tmp_path / "a.nrrd", tmp_path / "out.nrrd")
    assert SimpleITK.ReadImage(str(tmp_path / "out.nrrd")).GetSpacing() == (1.5, 1.25, 8.0)


def names(folder, *files):
    folder.mkdir()
    for name in files:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("channels", "files", "scans"),
    [
        (1, ["b.nii", "a.nii.gz", "notes.txt", ".c.nii"], ["a", "b"]),
        (1, ["scan_0007.mha", "scan_0012.mha"], ["scan_0007", "scan_0012"]),
        (1, ["a_frame01.nii.gz", "a_frame01_gt.nii.gz", "b_gt.nii.gz"], ["a_frame01", "b_gt"]),
        (2, ["a_0000.nrrd", "a_0001.nrrd", "b_0000.nrrd", "b_0001.nrrd"], ["a", "b"]),
    ],
)
def test_scans_are_told_by_name(tmp_path, channels, files, scans):
    listed = list_scans(names(tmp_path / "in", *files), channels)
    assert [scan.id for scan in listed] == scans
    assert all(len(scan.files) == channels for scan in listed)


@pytest.mark.parametrize(
    ("channels", "files", "reason"),
    [
        (1, ["a_0000.nii", "a_0001.nii"], r"takes 1 channel"),
        (1, ["a.nii", "a.nii.gz"], "a.nii, a.nii.gz: the run takes 1.*once"),
        (1, ["a_0007.nii", "a_0007.nii.gz"], "a_0007.nii, a_0007.nii.gz: the run takes 1.*once"),
    ],
)
def test_other_channels_and_double_names_are_refused(tmp_path, channels, files, reason):
    with pytest.raises(DataError, match=reason):
        list_scans(names(tmp_path / "in", *files), channels)


def test_channels_lie_on_one_grid(tmp_path):
    first, second = write(tmp_path / "a_0000.nii.gz"), write(tmp_path / "a_0001.nii.gz", GREY + 1)
    voxels, _ = read_channels([first, second])
    assert np.array_equal(voxels, np.stack([GREY, GREY + 1]))
    for other in (write(tmp_path / "b.nii.gz", shift=3), write(tmp_path / "c.nii.gz", GREY[:5])):
        with pytest.raises(DataError, match=f"{other.name}: (lies on another grid|has shape)"):
            read_channels([first, other])
