"""Worst cases as pictures: a slice, its truth, and what each method made of it.

The scans are read from the prepared cache when the page is written and are kept in the page alone, never in a record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.data.cache import Cache
from harness.data.permit import TestPermit
from harness.leaderboard.inputs import Comparison, rows_of
from harness.leaderboard.leaderboard import Leaderboard
from harness.records.reader import RunRecord, SuiteRecords
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
    """A method in the pictures, by the first of its finished runs; `dice` by case, mean over classes."""

    method: str
    run: RunRecord
    reference: bool
    dice: Mapping[str, float]


def worst_panels(records: SuiteRecords, leaderboard: Leaderboard, cache: Cache | None) -> Panels:
    """The worst case of every ranked method, for each labelled count of the comparison on which the page opens.

    The test split is opened under the permit of every run whose prediction is shown, and only once all planned runs
    have ended. Otherwise there is a reason instead.
    """
    if cache is None:
        return Panels(
            reason="Left out: pictures of test cases need the scans. "
            f"Write them with `harness leaderboard runs/{leaderboard.suite} --data DIR`, the scans or a prepared cache."
        )
    comparison = pictured(leaderboard)
    if comparison.conditions is None or any(entry.run not in records.ended.rows for entry, _ in records.selected):
        return Panels(reason="Pictures of test cases are made once all runs have ended.")
    if cache.reference.checksum != comparison.conditions.data_checksum:
        return Panels(reason="The data at hand are not those that the runs were tested on.")
    tables = {labelled: list(_shown(records, comparison, labelled)) for labelled in comparison.labelled_counts}
    runs = [shown.run for table in tables.values() for shown in table]
    if not runs:
        return Panels(reason="The runs on record kept no predictions.")
    permits = [TestPermit(records.store.selection_path, run.id, run.folder.path / "final.json") for run in runs]
    for permit in permits:
        permit.check()
    cases = {case.id: case for case in cache.test_cases(permits[0])}
    groups = (
        {"table": comparison.number, "labelled": labelled, **_group(table, cases)} for labelled, table in tables.items()
    )
    return Panels(tuple(groups), tuple(cache.manifest.classes[1:]))


def pictured(leaderboard: Leaderboard) -> Comparison:
    """The comparison on which the page opens: the first one, of a ladder's longest rung."""
    return max(leaderboard.inputs.comparisons, key=lambda comparison: comparison.rung)


def _shown(records: SuiteRecords, comparison: Comparison, labelled: int | None) -> Iterator[_Shown]:
    for entry in rows_of(comparison.listing, comparison.number, labelled).to_dict("records"):
        runs = comparison.runs_of(entry["cell"])
        ok = runs[runs["status"] == "ok"].sort_values(["subset", "seed"])
        run = None if ok.empty else records.run(str(ok["run"].iloc[0]))
        if run is not None and run.folder.has_predictions:
            cases = run.cases_table.to_pandas()
            dice = cases[cases["checkpoint"] == "last"].groupby("case")["dice"].mean()
            by_case = {str(case): float(value) for case, value in dice.items()}
            yield _Shown(entry["entry"], run, entry["block"] == "reference", by_case)


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


def _group(shown: Sequence[_Shown], cases: Mapping[str, Case]) -> Json:
    worst = worst_cases({each.method: each.dice for each in shown if not each.reference})
    predicted = {each.method: each.run.folder.predictions(case for case, _ in worst) for each in shown}
    in_2d = all(len(each.run.run.preprocessing.size) == 2 for each in shown)
    panels = [_panel(cases[case], method, shown, {name: maps[case] for name, maps in predicted.items()}, in_2d)
              for case, method in worst]  # fmt: skip
    labels = [{"entry": each.method, "run": each.run.run.label_in(each.method)} for each in shown]
    return {"methods": labels, "panels": panels}


def _panel(case: Case, worst: str, shown: Sequence[_Shown], predicted: Mapping[str, LabelMap], in_2d: bool) -> Json:
    """One slice: that with the most wrong voxels of the method for which the case was chosen."""
    images, labels = as_slices(case.first_channel, in_2d), as_slices(case.label, in_2d)
    slices = {name: as_slices(volume, in_2d) for name, volume in predicted.items()}
    index = int(np.count_nonzero(slices[worst] != labels, axis=(1, 2)).argmax())
    truth, maps = labels[index], {name: volume[index] for name, volume in slices.items()}
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
            each.method: {"dice": plain(each.dice[case.id]), "outlines": _outlines(maps[each.method], box)}
            for each in shown
        },
    }


def as_slices(volume: NDArray[Scalar], in_2d: bool) -> NDArray[Scalar]:
    """Slices as they are displayed: of slice data [Z, H, W], axial ones of volumes [X, Y, Z]."""
    return volume if in_2d else volume.transpose()


def _outlines(labels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], box: Box) -> list[str]:
    """SVG paths of classes 1, 2, ... in half pixels of the box."""
    return [outline(labels == value, box) for value in range(1, int(labels.max(initial=0)) + 1)]
