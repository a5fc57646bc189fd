from dataclasses import replace

import numpy as np
import pytest

from harness.api.errors import ClosedSplitError
from harness.records.files import write_record
from harness.records.reader import SuiteRecords
from harness.records.schema import FinalWeights
from harness.report.panels import pictured, worst_panels
from tests.report.ladders import CLIMB
from tests.support import selected_of
from tests.synthetic import RunSpec, board_of, write_checksums, write_records


@pytest.fixture
def store(tmp_path, phantoms):
    spec = RunSpec(
        methods={"baseline": 0.0, "other": 0.0, "supervised_full": 0.0}, labelled=(3,), seeds=1, patients=4,
        checksum=phantoms.manifest.checksum,
    )  # fmt: skip
    store = write_records(tmp_path / "s", spec)
    for folder in selected_of(store):
        write_record(folder.final, FinalWeights(weights_sha256="0" * 64))
        folder.write_predictions({"case": np.zeros((1, 2, 2), np.uint8)})
        write_checksums(folder)
    return store


def test_nothing_is_opened_while_a_run_is_to_run(store, phantoms):
    board = board_of(store)
    selected_of(store)[1].reopen()
    watched = replace(phantoms, on_violation=pytest.fail)
    assert (
        worst_panels(SuiteRecords(store), board, watched).reason
        == "Pictures of test cases are made once all runs have ended."
    )


def test_nothing_is_opened_without_final_weights(store, phantoms):
    board = board_of(store)
    (selected_of(store)[2].path / "final.json").unlink()
    with pytest.raises(ClosedSplitError, match="not final yet"):
        worst_panels(SuiteRecords(store), board, phantoms)


def test_other_data_are_refused(store, phantoms):
    other = replace(phantoms, manifest=phantoms.manifest.model_copy(update={"checksum": "d" * 64}))
    assert "not those that the runs were tested on" in worst_panels(SuiteRecords(store), board_of(store), other).reason


def test_pictures_are_of_the_rung_on_which_the_page_opens(store, tmp_path):
    assert pictured(board_of(store)).number == 1
    ladder = pictured(board_of(write_records(tmp_path / "ladder", CLIMB)))
    assert (ladder.rung, ladder.number) == (8000, 3)
