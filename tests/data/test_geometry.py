import re
from typing import Any

import pytest

from harness.api import DataError
from harness.api.scans.geometry import NOT_SET, grid_problems, grid_warnings
from harness.api.scans.nifti_file import read_nifti
from harness.api.scans.nrrd_file import read_nrrd
from harness.data.prepare import prepare
from tests.data.headers import SHAPE, Nifti, diagonal, nrrd
from tests.data.small_la import PATIENTS, SmallLA, write_official

UNIT = diagonal(-1, -1, 1)
PLAIN = Nifti()
SFORM = Nifti(qform=0, sform=1, rows=diagonal(1.5, 1.5, 10))

NIFTI: dict[str, tuple[Nifti, Any]] = {
    "identity, but somebody said mm and aligned": (SFORM.but(pixdim=(1, 1, 1), rows=diagonal(1, 1, 1)), (1, 1, 1)),
    "microns and seconds": (PLAIN.but(pixdim=(1500, 1500, 10000), units=3 + 8), (1.5, 1.5, 10)),
    "ACDC: unit sform beside a right qform": (PLAIN.but(sform=1, quatern=(0, 0, 1), rows=UNIT), (1.5, 1.5, 10)),
    "identity and nothing else": (Nifti((1, 1, 1), units=0, qform=0), "nobody set"),
    "pixdim against sform": (SFORM.but(rows=diagonal(1.25, 1.25, 10)), "contradicts itself"),
    "a unit that there is not": (PLAIN.but(units=5), "'code 5'"),
    "millimetres that are microns": (PLAIN.but(pixdim=(1500, 1500, 10000)), "no voxel of a scan"),
}


def assert_says(geometry, expected):
    """Either a voxel size in mm, or part of the reason why there is none."""
    if isinstance(expected, str):
        assert geometry.spacing_mm is None
        assert expected in geometry.doubt
        assert geometry.unset == (geometry.doubt == NOT_SET)
    else:
        assert geometry.spacing_mm == pytest.approx(expected, rel=1e-6)
        assert geometry.doubt == ""


@pytest.mark.parametrize("name", NIFTI)
def test_a_nifti_header_gives_millimetres_or_says_why_not(name, tmp_path):
    header, expected = NIFTI[name]
    voxels, geometry = read_nifti(header.write(tmp_path / "one.nii.gz"))
    assert_says(geometry, expected)
    assert voxels.shape == geometry.shape == SHAPE


def steps(x, y, z):
    return f"({x},0,0) (0,{y},0) (0,0,{z})"


MM, ONES = steps(0.625, 0.625, 1.25), steps(1, 1, 1)
IN = '"{0}" "{0}" "{0}"'.format
NRRD: dict[str, tuple[Any, Any]] = {
    "directions in mm": ({"space_directions": MM, "space_units": IN("mm")}, (0.625, 0.625, 1.25)),
    "micrometres": ({"space_directions": steps(625, 625, 1250), "space_units": IN("µm")}, (0.625, 0.625, 1.25)),
    "spacings": ({"space": None, "space_origin": None, "space_directions": None, "spacings": "2 3 4"}, (2, 3, 4)),
    "identity, as released": ({"space_directions": ONES}, "nobody set"),
    "nothing at all": ({"space_directions": None}, "does not give it"),
    "directions against spacings": ({"space_directions": MM, "spacings": "1 1 1"}, "contradicts itself"),
}


@pytest.mark.parametrize("name", NRRD)
def test_an_nrrd_header_gives_millimetres_or_says_why_not(name, tmp_path):
    changes, expected = NRRD[name]
    assert_says(read_nrrd(nrrd(tmp_path / "one.nrrd", **changes))[1], expected)


RAS = {"space": "right-anterior-superior"}
GRIDS: dict[str, tuple[Any, Any, str, str]] = {
    "the same in microns": (PLAIN, PLAIN.but(pixdim=(1500, 1500, 10000), units=3), "", ""),
    "mirrored along x": (PLAIN, SFORM.but(rows=diagonal(-1.5, 1.5, 10)), "mirrored along x", ""),
    "shifted by a voxel": (PLAIN, SFORM.but(rows=diagonal(1.5, 1.5, 10, (1.5, 0, 0))), "(1.5, 0, 0) mm away", ""),
    "label unset": (PLAIN, Nifti((1, 1, 1), units=0, qform=0), "", "label.nii says nothing of its geometry, image"),
    "label without directions": (PLAIN, PLAIN.but(qform=0), "", "only one of image and label says its directions"),
    "RAS, signs turned": ({}, {**RAS, "space_directions": steps(-0.625, -0.625, 1.25)}, "", ""),
    "RAS, the same numbers": ({}, RAS, "mirrored along x and y", ""),
    "no space": ({}, {"space": None}, "", "cannot be compared"),
}


def geometry_of(path, header):
    """Of a NIfTI file, or of an NRRD file with other fields."""
    if isinstance(header, Nifti):
        return read_nifti(header.write(path.with_suffix(".nii")))[1]
    return read_nrrd(nrrd(path.with_suffix(".nrrd"), **{"space_directions": MM, **header}))[1]


@pytest.mark.parametrize("name", GRIDS)
def test_a_label_on_another_grid_is_refused_and_what_cannot_be_compared_is_warned_of(name, tmp_path):
    *headers, problem, warning = GRIDS[name]
    image, label = (
        geometry_of(tmp_path / what, header) for what, header in zip(("image", "label"), headers, strict=True)
    )
    problems = grid_problems(image, label)
    assert bool(problems) == bool(problem), problems
    for line in problems:
        assert problem in line
        assert re.search(rf"{tmp_path}/label\.\w+: lies on another grid than {tmp_path}/image\.", line)
    if warning:
        assert warning in "; ".join(grid_warnings(image, label))


def forget_size(path):
    path.write_bytes(path.read_bytes().replace(MM.encode(), ONES.encode()))


def test_left_atrium_headers_as_released_get_the_declared_size(tmp_path, said):
    root = write_official(tmp_path / "raw")
    for path in root.rglob("*.nrrd"):
        forget_size(path)
    manifest = prepare(SmallLA(), root, tmp_path / "cache").manifest
    assert {case.spacing_mm for case in manifest.cases} == {(0.625, 0.625, 0.625)}
    assert all("the dataset's declaration (Xiong" in (case.spacing_source or "") for case in manifest.cases)
    assert not any("voxel size" in line for line in manifest.warnings)
    assert any("voxel size from the dataset's declaration" in line and "(5 of 5 cases)" in line for line in said)


def test_directions_that_are_no_basis_are_refused(tmp_path):
    for directions in ("(1,0,0) (1,0,0) (0,0,1)", "(0,0,0) (0,0,0) (0,0,0)", "(1,0,0) (0,1,0) none", "(1,0,0) (0,1,0)"):
        path = nrrd(tmp_path / "one.nrrd", space_directions=directions)
        with pytest.raises(DataError, match=r"one\.nrrd: space directions are not three independent steps"):
            read_nrrd(path)


def test_a_size_is_not_declared_against_what_the_label_says(tmp_path):
    root = write_official(tmp_path / "raw")
    image = root / PATIENTS[0] / "lgemri.nrrd"
    forget_size(image)
    manifest = prepare(SmallLA(), root, tmp_path / "cache").manifest
    sizes = {case.id: case.spacing_mm for case in manifest.cases}
    assert sizes[PATIENTS[0]] is None
    about = [line for line in manifest.warnings if line.startswith(f"{PATIENTS[0]}: ")]
    assert len(about) == 2
    assert "nobody set" in about[0]
    assert "lgemri.nrrd says nothing of its geometry" in about[1]
