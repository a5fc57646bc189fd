from pathlib import Path

import numpy as np
import pytest

from benchmarks.acdc import ACDC
from tests.cli.ground import linked_copy, write_suite
from tests.data.headers import Nifti
from tests.support import call_cli

PATIENTS = [patient for patients in ACDC.splits.values() for patient in patients]
PLAIN = Nifti()
TEST = "patient011/patient011_frame09.nii.gz"


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 100 patients in the challenge's layout, two tiny frames each."""
    root = tmp_path_factory.mktemp("official")
    for number, patient in enumerate(PATIENTS):
        for frame in (1, 9):
            voxels = np.random.default_rng([number, frame]).integers(3, 700, (12, 10, 3)).astype(np.int16)
            PLAIN.write(root / patient / f"{patient}_frame{frame:02d}.nii.gz", voxels)
            PLAIN.write(root / patient / f"{patient}_frame{frame:02d}_gt.nii.gz", (voxels % 4).astype(np.uint8))
        (root / patient / "Info.cfg").write_text("ED: 1\nES: 9\n")
    return root


def rewrite(path: Path, header: Nifti) -> None:
    """The same voxels under another header; a hard link is replaced, never written through."""
    import nibabel

    voxels = np.asarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]
    path.unlink()
    header.write(path, voxels)


def test_where_millimetres_come_from_stands_in_records_audit_and_page(official: Path, tmp_path: Path):
    root = linked_copy(official, tmp_path / "ACDC")
    unset = Nifti((1, 1, 1), units=0, qform=0)
    for path in (TEST, TEST.replace(".nii", "_gt.nii")):
        rewrite(root / path, unset)
    suite = write_suite(tmp_path, ("dataset: phantom", "dataset: acdc"), ("  ua_mt:\n", ""))
    run = ("run", "--suite", suite, "--data", root, "--executor", "inline", "--no-track")
    call_cli(*run, cwd=tmp_path, env={"HARNESS_CACHE": str(tmp_path / "c")}, code=0)
    records = tmp_path / "runs" / "tiny"
    (result,) = records.glob("runs/*/result.json")
    audit = call_cli("audit", records, cwd=tmp_path).stdout
    page, table = ((records / "leaderboard" / name).read_text() for name in ("index.html", "leaderboard.md"))
    warning = "patient011_frame02: voxel size unknown, millimetres stay empty"
    source = "pixdim, in mm (199 of 200 cases); unknown (1 of 200 cases)"
    for text, words in (
        (result.read_text(), [warning, source]),
        (page, [warning, source]),
        (table, [warning]),
        (audit, [warning, "(spacing unknown in 1)"]),
    ):
        flat = " ".join(text.split())
        assert [part for part in words if part not in flat] == [], flat
    assert "HD95 mm" not in table
