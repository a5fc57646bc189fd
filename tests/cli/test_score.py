import nibabel
import numpy as np
import pandas as pd

from harness.records.reader import SuiteRecords
from tests.cli.ground import refuse
from tests.support import call_cli, cases_of


def test_a_runs_own_label_maps_give_its_own_cases(records, session_cache, tmp_path):
    suite = SuiteRecords.open(records / "tiny")
    folder = suite.selected[0][1].folder
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for case, labels in folder.predictions().items():
        nibabel.save(nibabel.Nifti1Image(labels.transpose(), np.eye(4)), theirs / f"{case}.nii.gz")
    command = ("score", "--predictions", theirs, "--dataset", "phantom", "--runs", records)
    done = call_cli(*command, "--name", "our own", "--note", "once more", env={"HARNESS_CACHE": str(session_cache)})
    finals = sum(run.run.role == "final" and run.ok for run in suite.runs)
    assert f"use {finals + 1} of the test split of phantom" in done.stderr
    own = cases_of(folder).query("checkpoint == 'last'").reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(records / "scored" / "phantom" / "1" / "cases.parquet"), own)
    table = call_cli("leaderboard", records / "tiny")
    assert "our own" in table.stdout
    next(theirs.iterdir()).unlink()
    refuse(*command, "--name", "another", code=65, named=("no label map for 1 of",), unchanged=records)
