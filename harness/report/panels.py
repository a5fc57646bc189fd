"""Worst cases as pictures: a slice, its truth, and what each method made of it.

The scans are read from the prepared cache when the page is written and stand in the page alone, never in a record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.data.cache import Cache
from harness.data.permit import TestPermit
from harness.leaderboard.inputs import Comparison
from harness.leaderboard.leaderboard import Leaderboard
from harness.leaderboard.results import Entry, entries, labelled_counts
from harness.records.suite_folder import RunStore
from harness.report.columns import Json, plain
from harness.report.picture import Box, crop_box, grey_png, outline

if TYPE_CHECKING:
    from harness.api.dataset import Case, LabelMap

Scalar = TypeVar("Scalar", bound=np.generic)

MOST_CASES = 6
"""Per labelled count."""


@dataclass(frozen=True)
class Panels:
    """What the page shows, or why it shows nothing. classes: the names of labels 1, 2, ..."""

    groups: tuple[Json, ...] = ()
    classes: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class _Shown:
    """A method in the pictures, by the first of its finished units; `dice` by case, mean over classes."""

    method: str
    unit: str
    reference: bool
    dice: Mapping[str, float]


def worst_panels(store: RunStore, board: Leaderboard, cache: Cache) -> Panels:
    """The worst case of every ranked method, for each labelled count of the first comparison.

    The test split is opened under the permit of every unit whose prediction is shown, and only once all units of the
    selection have ended. Otherwise, with other data or without predictions on record, there is a reason instead.
    """
    comparison = board.inputs.comparisons[0]
    waiting = [folder for folder in store.selected() if not folder.done]
    if waiting or comparison.conditions is None:
        return Panels(reason="Pictures of test cases are made once all units have ended.")
    if cache.reference.checksum != comparison.conditions.data_checksum:
        return Panels(reason="The data at hand are not those that the units were tested on.")
    tables = {labelled: list(_shown(store, comparison, labelled)) for labelled in labelled_counts(comparison)}
    units = [one.unit for table in tables.values() for one in table]
    if not units:
        return Panels(reason="The units on record kept no predictions.")
    cases = {case.id: case for case in _test_cases(store, cache, units)}
    groups = (_group(store, labelled, table, cases) for labelled, table in tables.items())
    return Panels(tuple(groups), tuple(cache.manifest.classes[1:]))


def _test_cases(store: RunStore, cache: Cache, units: Sequence[str]) -> list[Case]:
    permits = [TestPermit(store.selection_path, unit, store.root / "units" / unit / "final.json") for unit in units]
    for permit in permits:
        permit.check()
    return cache.test_cases(permits[0])


def _shown(store: RunStore, comparison: Comparison, labelled: int | None) -> Iterator[_Shown]:
    cases = comparison.cases[comparison.cases["selection"] == "last"]
    folders = {folder.id: folder for folder in store.selected()}
    for entry in entries(comparison, labelled):
        unit = _first(entry)
        if unit is not None and folders[unit].has_predictions:
            dice = cases[cases["unit"] == unit].groupby("case")["dice"].mean()
            by_case = {str(case): float(value) for case, value in dice.items()}
            yield _Shown(entry.method, unit, entry.reference, by_case)


def _first(entry: Entry) -> str | None:
    ok = entry.units[entry.units["status"] == "ok"].sort_values(["subset", "seed"])
    return None if ok.empty else str(ok["unit"].iloc[0])


def worst_cases(dice: Mapping[str, Mapping[str, float]], most: int = MOST_CASES) -> list[tuple[str, str]]:
    """(case, method) pairs: each method's worst case, then the next worst of any method, every case once.

    dice: method -> case -> mean Dice over classes.
    """
    worst = sorted((min((value, case) for case, value in own.items()), method) for method, own in dice.items() if own)
    rest = sorted(((value, case), method) for method, own in dice.items() for case, value in own.items())
    chosen: dict[str, str] = {}
    for (_, case), method in (*worst, *rest):
        chosen.setdefault(case, method)
    return list(chosen.items())[:most]


def _group(store: RunStore, labelled: int | None, shown: Sequence[_Shown], cases: Mapping[str, Case]) -> Json:
    """Pictures of one labelled count; a unit's label maps are read case by case."""
    worst = worst_cases({one.method: one.dice for one in shown if not one.reference})
    wanted = [case for case, _ in worst]
    folders = {folder.id: folder for folder in store.selected()}
    predicted = {one.method: folders[one.unit].predictions(wanted) for one in shown}
    in_2d = all(len(folders[one.unit].unit.preprocessing.size) == 2 for one in shown)
    panels = [_panel(cases[case], method, shown, {name: maps[case] for name, maps in predicted.items()}, in_2d)
              for case, method in worst]  # fmt: skip
    labels = [{"method": one.method, "unit": folders[one.unit].unit.label_in(one.method)} for one in shown]
    return {"table": 1, "labelled": labelled, "methods": labels, "panels": panels}


def _panel(case: Case, worst: str, shown: Sequence[_Shown], predicted: Mapping[str, LabelMap], in_2d: bool) -> Json:
    """One slice: that with the most wrong voxels of the method for which the case was chosen."""
    images, labels = as_slices(case.image, in_2d), as_slices(case.label, in_2d)
    slices = {name: as_slices(one, in_2d) for name, one in predicted.items()}
    index = int(np.count_nonzero(slices[worst] != labels, axis=(1, 2)).argmax())
    truth, maps = labels[index], {name: one[index] for name, one in slices.items()}
    box = crop_box([truth, *maps.values()])
    return {
        "case": case.id,
        "patient": case.patient,
        "phase": case.phase,
        "slice": index + 1,
        "slices": len(labels),
        "worst": worst,
        "image": grey_png(images[index], box),
        "size": [box.width, box.height],
        "truth": _outlines(truth, box),
        "methods": {
            one.method: {"dice": plain(one.dice[case.id]), "outlines": _outlines(maps[one.method], box)}
            for one in shown
        },
    }


def as_slices(volume: NDArray[Scalar], in_2d: bool) -> NDArray[Scalar]:
    """Slices as they are looked at: slice data [Z, H, W] as they are, axial ones of volumes [X, Y, Z], [Z, Y, X]."""
    return volume if in_2d else volume.transpose()


def _outlines(labels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], box: Box) -> list[str]:
    """SVG paths of classes 1, 2, ... in half pixels of the box."""
    return [outline(labels == value, box) for value in range(1, int(labels.max(initial=0)) + 1)]
