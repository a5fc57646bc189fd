"""Which runs may stand in a table: those that were tested on what the others were, with scores that are possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.records.schema import Validation

ROW = ["checkpoint", "case", "patient", "phase", "class_name"]
"""What a row of cases.parquet is about. Each run has it once."""

ROUNDING = 1e-9
NAMED = 3
"""Patients or classes that a reason names."""

_FRACTIONS = ["dice", "jaccard"]
_VOXELS = ["hd95_voxel", "asd_voxel", "assd_voxel"]
_MILLIMETRES = ["hd95_mm", "asd_mm", "assd_mm"]
_SCORES = [*_FRACTIONS, *_VOXELS, *_MILLIMETRES]
_MOST = np.array([1.0 + ROUNDING] * len(_FRACTIONS) + [np.finfo(np.float64).max] * len(_VOXELS + _MILLIMETRES))

T = TypeVar("T", bound=Hashable)
Places = NDArray[np.integer[Any]]


def unfit_reasons(cases: pd.DataFrame, places: Places, validations: Sequence[Sequence[Validation]]) -> list[str | None]:
    """Say why a run cannot share a table with the others.

    What the others have is what most of the runs have. Where no more than half of them agree, it is what the most rows
    are on record for, in two runs if possible.

    Args:
        cases: per-case records of all runs, with `reader.CASE_COLUMNS`.
        places: of the run of each row among the runs, [rows].
        validations: of each run.

    Returns:
        By run, what is wrong with its records; None for a run that fits.
    """
    runs = len(validations)
    reasons: list[list[str]] = [[] for _ in range(runs)]
    checks = (_impossible_scores(cases, places), _repeated_rows(cases, places), _other_rows(cases, places, runs))
    others = (_other_validations(validations, what) for what in ("dice", "patients"))
    for faults in (*checks, _impossible_validations(validations), *others):
        for place, reason in faults.items():
            reasons[place].append(reason)
    return ["; ".join(own) or None for own in reasons]


def _impossible_scores(cases: pd.DataFrame, places: Places) -> dict[int, str]:
    values = cases[_SCORES].to_numpy(dtype="float64", na_value=np.nan)
    possible = (values >= 0.0) & (values <= _MOST)
    unknown = np.isnan(values) & np.isin(_SCORES, _MILLIMETRES)
    rows, columns = np.nonzero(~(possible | unknown))
    first: dict[int, str] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        text = f"cases.parquet has a {_SCORES[column]} of {values[row, column]:g}, which none can be"
        first.setdefault(int(places[row]), text)
    return first


def _repeated_rows(cases: pd.DataFrame, places: Places) -> dict[int, str]:
    counts = Counter(places[cases[ROW].assign(place=places).duplicated().to_numpy()].tolist())
    return {place: f"cases.parquet repeats {count} rows" for place, count in counts.items()}


def _other_rows(cases: pd.DataFrame, places: Places, runs: int) -> dict[int, str]:
    """Rows of other volumes, patients or classes than the other runs have, or of volumes with other true masks."""
    hashes = pd.util.hash_pandas_object(cases[[*ROW, "voxels_true"]], index=False).to_numpy()
    order = np.argsort(places, kind="stable")
    parts = np.split(order, np.searchsorted(places[order], np.arange(1, runs)))
    rows = [np.unique(hashes[part]) for part in parts]
    usual = np.frombuffer(_usual([own.tobytes() for own in rows]), hashes.dtype)
    reasons = {}
    for place, own in enumerate(rows):
        if not len(own):
            reasons[place] = "cases.parquet has no row"
        elif not np.array_equal(own, usual):
            missing, more = len(np.setdiff1d(usual, own)), np.setdiff1d(own, usual)
            texts = [f"lacks {missing} of the {len(usual)} rows that the other runs have"] if missing else []
            if len(more):
                odd = cases["patient"].iloc[parts[place][np.isin(hashes[parts[place]], more)]].unique()
                texts.append(f"has {len(more)} rows that the other runs lack ({_some(sorted(map(str, odd)))})")
            reasons[place] = f"cases.parquet {' and '.join(texts)}"
    return reasons


def _usual(values: Sequence[T]) -> T:
    """What most of the values are; see `unfit_reasons`."""
    counts = Counter(values)
    most, count = counts.most_common(1)[0]
    if 2 * count > len(values):
        return most
    return max(counts, key=lambda value: (counts[value] > 1, len(value), counts[value]))  # type: ignore[arg-type]


def _impossible_validations(validations: Sequence[Sequence[Validation]]) -> dict[int, str]:
    reasons = {}
    for place, own in enumerate(validations):
        if odd := [str(validation.validation) for validation in own if not validation.possible]:
            reasons[place] = f"a Dice outside [0, 1] in validation {', '.join(odd)}"
    return reasons


def _other_validations(validations: Sequence[Sequence[Validation]], what: str) -> dict[int, str]:
    """Validations of other classes or patients than those of the other runs. what: "dice" or "patients"."""
    names = [tuple(sorted({name for validation in own for name in getattr(validation, what)})) for own in validations]
    if not names:
        return {}
    usual = _usual(names)
    return {
        place: f"its validations are of {_some(own)}, those of the other runs of {_some(usual)}"
        for place, own in enumerate(names)
        if own != usual
    }


def _some(names: Sequence[str]) -> str:
    shown = [*names[:NAMED], *(["..."] if len(names) > NAMED else [])]
    return ", ".join(shown) or "none"
