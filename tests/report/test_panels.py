from dataclasses import replace

import numpy as np
import pytest

from harness.api.errors import ClosedSplitError
from harness.data.permit import TestPermit
from harness.records.files import write_record
from harness.records.reader import SuiteRecords
from harness.records.schema import FinalWeights
from harness.report.panels import worst_cases, worst_panels
from tests.support import cases_of, selected_of
from tests.synthetic import RunSpec, board_of, write_checksums, write_records


def test_every_method_s_worst_case_comes_first():
    dice = {
        "a": {"x": 0.5, "y": 0.1, "z": 0.9},
        "b": {"x": 0.3, "y": 0.2, "z": 0.8},
        "c": {"x": 0.9, "y": 0.9, "z": 0.7},
    }
    # the worst: a in y (0.1), b in y (0.2), c in z (0.7); then b in x (0.3)
    assert worst_cases(dice) == [("y", "a"), ("z", "c"), ("x", "b")]
    assert worst_cases(dice, most=2) == [("y", "a"), ("z", "c")]
    assert worst_cases({}) == []


@pytest.fixture
def store(tmp_path, phantoms):
    spec = RunSpec(
        methods={"baseline": 0.0, "other": 0.0, "supervised_full": 0.0}, labelled=(3,), seeds=1, patients=4,
        classes=tuple(phantoms.manifest.classes[1:]), checksum=phantoms.manifest.checksum,
    )  # fmt: skip
    store = write_records(tmp_path / "s", spec)
    infos = [info for info in phantoms.manifest.cases if info.split == "test"]
    for shift, folder in enumerate(selected_of(store), start=1):
        cases = cases_of(folder)
        names = dict(zip(cases["case"].unique(), infos, strict=False))
        folder.write_cases(cases.assign(case=cases["case"].map(lambda name, names=names: names[name].id)))
        write_record(folder.final, FinalWeights(weights_sha256="0" * 64))
        folder.write_predictions(predictions(phantoms, store, folder, shift))
        write_checksums(folder)
    return store


def predictions(phantoms, store, folder, shift):
    cases = phantoms.test_cases(permit_of(store, folder))
    return {case.id: np.roll(case.label, shift * 3, axis=2) for case in cases}


def test_the_slice_is_that_with_the_most_errors(store, phantoms):
    board = board_of(store)
    folders = {folder.run.method: folder for folder in selected_of(store)}
    (group,) = worst_panels(SuiteRecords(store), board, phantoms).groups
    cases = {case.id: case for case in phantoms.test_cases(permit_of(store, selected_of(store)[0]))}
    for panel in group["panels"]:
        predicted = folders[panel["worst"]].predictions([panel["case"]])[panel["case"]]
        wrong = (predicted != cases[panel["case"]].label).sum(axis=(1, 2))
        assert wrong[panel["slice"] - 1] == wrong.max()
        assert panel["slices"] == len(wrong)


def permit_of(store, folder):
    return TestPermit(store.selection_path, folder.id, folder.path / "final.json")


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
