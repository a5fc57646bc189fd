"""centers.png of each unit with class centres: what it shows, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.api.errors import RecordError
from harness.records.files import write_atomic
from harness.records.run_folder import UnitFolder
from harness.records.schema import Look
from harness.records.suite_folder import RunStore

REAL = ("centres", "prototypes", "similarity", "features")
WHOLE = ("assignment", "slot_class", "labels")
"""Names of the arrays that make the picture; a unit without them has none."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Centers:
    """M slots, as many centres and n sampled pixels of one unit, when its last step was done.

    centres, prototypes [M, d]; similarity [M slots, M centres]; features [n, d]: unit vectors and cosines.
    assignment [M]:    centre that each slot holds; slot_class [M], labels [n]: numbers in `classes`.
    by_look [M, L]:    the assignment at each of the looks with these numbers.
    changes:           slots that changed their centre, over all assignments; None if no look says so.
    """

    title: str
    classes: tuple[str, ...]
    centres: Floats
    prototypes: Floats
    similarity: Floats
    assignment: Numbers
    slot_class: Numbers
    features: Floats
    labels: Numbers
    looks: tuple[int, ...]
    by_look: Numbers
    changes: int | None

    @property
    def centre_class(self) -> Numbers:
        """Class that holds each centre, [M]."""
        held = np.empty_like(self.slot_class)
        held[self.assignment] = self.slot_class
        return held

    @property
    def slot_names(self) -> list[str]:
        """The class of each slot, numbered where it has several."""
        totals = np.bincount(self.slot_class, minlength=len(self.classes))
        seen = [0] * len(totals)
        names = []
        for name in self.slot_class.tolist():
            seen[name] += 1
            names.append(self.classes[name] + (f" {seen[name]}" if totals[name] > 1 else ""))
        return names


def read_centers(folder: UnitFolder, row: str | None = None) -> Centers | None:
    """What the picture of a unit shows; None for a unit that has not ended well or has no centres.

    row: of the suite in which it stands, for the title; None for the method's name.
    Raises `RecordError` where the arrays contradict each other or the unit's classes.
    """
    result = folder.result()
    arrays = folder.arrays() if result is not None and result.looks else {}
    if result is None or not {*REAL, *WHOLE} <= arrays.keys():
        return None
    real = {name: np.asarray(arrays[name], np.float64) for name in REAL}
    whole = {name: np.asarray(arrays[name], np.int64) for name in WHOLE}
    last = result.looks[-1]
    classes = ("background", *(last.dice or folder.cases()["class_name"].unique()))  # a look without validation: none
    if not _fit(real, whole, len(classes)):
        raise RecordError(f"{folder.path / 'arrays.npz'}: its arrays do not fit each other or the unit's classes")
    looks, by_look = assignment_by_look(result.looks, len(whole["assignment"]))
    return Centers(
        title=folder.unit.label_in(row or folder.unit.method),
        classes=classes,
        centres=real["centres"],
        prototypes=real["prototypes"],
        similarity=real["similarity"],
        assignment=whole["assignment"],
        slot_class=whole["slot_class"],
        features=real["features"],
        labels=whole["labels"],
        looks=looks,
        by_look=by_look,
        changes=int(last.diagnostics["assignment_changes"]) if "assignment_changes" in last.diagnostics else None,
    )


def _fit(real: dict[str, Floats], whole: dict[str, Numbers], n_classes: int) -> bool:
    """Whether shapes, class numbers and the permutation agree, with nothing infinite among them."""
    count, dimension = whole["assignment"].size, (real["centres"].shape or (0,))[-1]
    shapes = {
        "centres": (count, dimension),
        "prototypes": (count, dimension),
        "similarity": (count, count),
        "features": (whole["labels"].size, dimension),
        "slot_class": (count,),
        "assignment": (count,),
    }
    named = np.concatenate((whole["slot_class"].ravel(), whole["labels"].ravel()))
    return (
        count > 0
        and all({**real, **whole}[name].shape == shape for name, shape in shapes.items())
        and sorted(whole["assignment"].tolist()) == list(range(count))
        and bool(((named >= 0) & (named < n_classes)).all())
        and all(np.isfinite(values).all() for values in real.values())
    )


def assignment_by_look(looks: Sequence[Look], count: int) -> tuple[tuple[int, ...], Numbers]:
    """Numbers of the looks that tell the centre of each of `count` slots, and these centres, [count, looks]."""
    names = [f"assignment/{slot}" for slot in range(count)]
    telling = [look for look in looks if set(names) <= look.diagnostics.keys()]
    held = [[int(look.diagnostics[name]) for look in telling] for name in names]
    return tuple(look.look for look in telling), np.array(held, np.int64).reshape(count, len(telling))


def draw_unit(folder: UnitFolder, into: Path) -> tuple[Path, ...]:
    """Draw `into`/centers.png where the unit has centres; what was written."""
    return (into / "centers.png",) if _draw(folder, into / "centers.png") else ()


def write_center_pictures(store: RunStore) -> tuple[Path, ...]:
    """leaderboard/centers/<slot>.png for every unit of the selection with centres; older pictures of others go."""
    folder = store.leaderboard / "centers"
    wanted = {folder / f"{str(entry.slot).replace('/', '-')}.png": entry for entry in store.selection().entries}
    drawn = tuple(
        path
        for path, entry in wanted.items()
        if _draw(UnitFolder(store.root / "units" / entry.unit), path, entry.slot.method)
    )
    for path in set(folder.glob("*.png")) - set(drawn):
        path.unlink()
    return drawn


def _draw(folder: UnitFolder, path: Path, row: str | None = None) -> bool:
    centers = read_centers(folder, row)
    if centers is not None:
        from harness.report.centers_figure import draw_centers

        write_atomic(path, lambda temporary: draw_centers(centers, temporary))
    return centers is not None
