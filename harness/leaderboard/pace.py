"""Cells whose steps cost something else than their calibration says: those that are marked, and those in no number."""

from typing import NamedTuple

import pandas as pd

from harness.records.calibration import judge_cells
from harness.records.ended import parse_paces
from harness.records.reader import SuiteRecords


class Judged(NamedTuple):
    """Why, by cell. A cell's runs are judged together, whatever their rung: a step costs the same on all.

    unranked: more than 10 % apart (50 % on another device): its runs are in no number.
    marked:   5 to 10 % apart: it is ranked, and the tables say so.
    """

    unranked: dict[str, str]
    marked: dict[str, str]


def judge_pace_of(records: SuiteRecords, ok: pd.DataFrame) -> Judged:
    """Judge each cell by the supervised steps beside its finished runs; ok: these, with `rows.TEXTS`."""
    judged = judge_cells(
        (
            (cell, records.ended.settings[text].calibration, parse_paces(paces))
            for cell, text, paces in ok[["cell", "settings", "paces"]].itertuples(index=False)
        ),
        records.store.calibrations(),
    )
    texts: dict[str, dict[str, str]] = {"not ranked": {}, "marked": {}}
    for (cell, stage), own in judged.items():
        if own.verdict in texts:
            text = f"a step of stage {stage} costs {own.deviation:+.0%} against its calibration"
            texts[own.verdict].setdefault(cell, text)
    marked = {cell: text for cell, text in texts["marked"].items() if cell not in texts["not ranked"]}
    return Judged(texts["not ranked"], marked)
