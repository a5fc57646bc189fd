"""centers.png: what it shows comes from the records alone, and only units with centres have one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from harness.api.errors import RecordError
from harness.records.run_folder import UnitFolder
from harness.records.schema import Look
from harness.records.suite_folder import RunStore
from harness.report.centers import assignment_by_look, draw_unit, read_centers, write_center_pictures
from harness.report.centers_figure import plane
from tests.synthetic import RunSpec, write_run

SPEC = RunSpec(
    methods={"action_pp": 0.3, "ua_mt": 0.1},
    labelled=(3,),
    patients=2,
    history_steps=2,
    looks=4,
    centers=frozenset({"action_pp"}),
    failed=frozenset({("action_pp", 3, 0, 1)}),
    missing=frozenset({("action_pp", 3, 0, 2)}),
)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return write_run(tmp_path / "suite", SPEC)


def unit(store: RunStore, slot: str) -> UnitFolder:
    (found,) = (entry.unit for entry in store.selection().entries if str(entry.slot) == slot)
    return UnitFolder(store.root / "units" / found)


def test_what_is_shown_is_what_is_on_record(store: RunStore) -> None:
    folder = unit(store, "action_pp/3/0/0")
    shown, arrays = read_centers(folder), folder.arrays()
    assert shown is not None
    assert shown.classes == ("background", "RV", "Myo", "LV")
    assert shown.title == "action_pp 3-labelled subset 0 seed 0"
    variant = read_centers(folder, "no_schedule")
    assert variant is not None
    assert variant.title == "no_schedule 3-labelled subset 0 seed 0"
    assert np.array_equal(shown.similarity, arrays["similarity"])
    assert shown.assignment.tolist() == [3, 0, 1, 2]
    assert shown.centre_class.tolist() == [1, 2, 3, 0]  # slot 1, the RV's, holds centre 0
    assert shown.looks == (0, 1, 2, 3)
    assert shown.by_look.T.tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [3, 0, 1, 2], [3, 0, 1, 2]]
    assert shown.changes == 4


def test_slots_are_numbered_where_a_class_has_several(store: RunStore) -> None:
    folder = unit(store, "action_pp/3/0/0")
    folder.write_arrays({**folder.arrays(), "slot_class": np.array([0, 1, 1, 3])})
    shown = read_centers(folder)
    assert shown is not None
    assert shown.slot_names == ["background", "RV 1", "RV 2", "LV"]


@pytest.mark.parametrize("slot", ["ua_mt/3/0/0", "action_pp/3/0/1", "action_pp/3/0/2"])
def test_units_without_centres_or_without_an_end_have_no_picture(slot: str, store: RunStore, tmp_path: Path) -> None:
    assert read_centers(unit(store, slot)) is None
    assert draw_unit(unit(store, slot), tmp_path / "into") == ()
    assert not (tmp_path / "into").exists()


def test_one_picture_a_slot_and_the_same_records_give_the_same_bytes(store: RunStore) -> None:
    (path,) = write_center_pictures(store)
    assert path == store.leaderboard / "centers" / "action_pp-3-0-0.png"
    first = path.read_bytes()
    height, width = imread(path).shape[:2]
    assert width > 2.5 * height
    stale = path.with_name("action_pp-9-0-0.png")
    stale.write_bytes(b"of an earlier selection")
    assert write_center_pictures(store) == (path,)
    assert path.read_bytes() == first
    assert list(path.parent.iterdir()) == [path]
    (alone,) = draw_unit(unit(store, "action_pp/3/0/0"), store.root / "aside")
    assert (alone.name, alone.read_bytes()) == ("centers.png", first)


def test_a_suite_without_centres_gets_no_folder(tmp_path: Path) -> None:
    store = write_run(tmp_path / "suite", RunSpec(methods={"ua_mt": 0.1}, labelled=(3,), seeds=1, patients=2))
    assert write_center_pictures(store) == ()
    assert not store.leaderboard.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"features": np.zeros((0, 8)), "labels": np.zeros(0, np.int64)},
        {"prototypes": np.zeros((4, 8)), "similarity": np.zeros((4, 4))},
        {"features": np.eye(1, 8)[[0] * 4], "labels": np.zeros(4, np.int64), "centres": np.eye(1, 8)[[0] * 4]},
    ],
    ids=["no feature", "no prototype yet", "all in one place"],
)
def test_a_picture_of_little_is_drawn(changes: dict[str, np.ndarray], store: RunStore, tmp_path: Path) -> None:
    folder = unit(store, "action_pp/3/0/0")
    folder.write_arrays({**folder.arrays(), **changes})
    assert draw_unit(folder, tmp_path / "into")


def test_older_looks_without_an_assignment_leave_that_panel_out(store: RunStore, tmp_path: Path) -> None:
    folder = unit(store, "action_pp/3/0/0")
    wide = imread(draw_unit(folder, tmp_path / "wide")[0]).shape[1]
    path = folder.path / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps({**result, "looks": [{**look, "diagnostics": {}} for look in result["looks"]]}))
    shown = read_centers(folder)
    assert shown is not None
    assert (shown.looks, shown.by_look.shape, shown.changes) == ((), (4, 0), None)
    assert imread(draw_unit(folder, tmp_path / "narrow")[0]).shape[1] == pytest.approx(wide * 2 / 3, abs=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"assignment": np.array([0, 0, 1, 2])},
        {"assignment": np.array(3)},
        {"slot_class": np.array([0, 1, 2, 4])},
        {"labels": np.arange(3)},
        {"similarity": np.zeros((4, 3))},
        {"features": np.full((80, 8), np.nan)},
        {"centres": np.zeros(())},
    ],
)
def test_arrays_that_contradict_each_other_are_named(changes: dict[str, np.ndarray], store: RunStore) -> None:
    folder = unit(store, "action_pp/3/0/0")
    folder.write_arrays({**folder.arrays(), **changes})
    with pytest.raises(RecordError, match=rf"{folder.id}.arrays\.npz: its arrays do not fit"):
        write_center_pictures(store)


def test_looks_that_do_not_tell_every_slot_are_passed_over() -> None:
    looks = [
        Look(look=i, progress=0.1, step=1, device_seconds=1.0, dice={"a": 0.5}, diagnostics=told)
        for i, told in enumerate([{}, {"assignment/0": 1.0}, {"assignment/0": 1.0, "assignment/1": 0.0}])
    ]
    numbers, held = assignment_by_look(looks, 2)
    assert numbers == (2,)
    assert held.tolist() == [[1], [0]]


def test_the_plane_is_spanned_by_the_two_widest_directions() -> None:
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    flat = np.array([[3, 0], [-3, 0], [0, 2], [0, -2], [3, 0], [-3, 0]]) @ turn[:2]
    axes, mean, shares = plane(flat[:4] + 1.0, flat[4:] + 1.0)
    assert mean == pytest.approx(np.ones(5))
    assert axes.T @ axes == pytest.approx(np.eye(2))
    assert np.abs(turn[:2] @ axes) == pytest.approx(np.eye(2), abs=1e-9)
    assert shares == pytest.approx([36 / 44, 8 / 44])
    assert all(column[np.abs(column).argmax()] > 0 for column in axes.T)
