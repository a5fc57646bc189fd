"""The run of a suite, above its methods: its leaderboard as a table, figures, page, selection and YAML file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from harness.api.errors import RecordError
from harness.api.strict import digest
from harness.records.selection import Selection
from harness.records.suite_folder import RunStore
from harness.tracking.content import LAYOUT, RECORD_TAG, ROLE_TAG, SUITE_TAG, Artifact, Finished, RunContent
from harness.tracking.inputs import ordered
from harness.tracking.means import counts, planned_ids, selected_finals, unit_records, whole_span
from harness.tracking.params import joined_params
from harness.tracking.series import at_end

TABLE = "leaderboard.json"
"""The name of the logged table; the csv with all columns lies in leaderboard/ too."""

FIRST_COLUMNS = ("labelled", "selection", "rank", "method", "dice", "dice_low", "dice_high", "n_ok")
DECIMALS = 4


def suite_content(store: RunStore, units: Sequence[Finished], selection: Selection | None, suite: str) -> RunContent:
    """The run that stands above all runs of a suite. Reads whatever files lie in the leaderboard's folder."""
    planned = planned_ids(selection)
    finals = selected_finals(units, planned)
    searched = [u for u in units if u.unit.role == "search"]
    span = whole_span(units)
    values = {
        **counts(finals),
        **({} if planned is None else {"n_planned": float(len(planned))}),
        "n_search": float(len(searched)),
        "spent/finals_device_seconds": _spent(finals),
        "spent/search_device_seconds": _spent(searched),
        "spent/lost_device_seconds": sum(u.result.spent.lost_device_seconds for u in units),
    }
    return RunContent(
        name=suite,
        status="FINISHED",
        span=span,
        tags={SUITE_TAG: suite, ROLE_TAG: "suite", RECORD_TAG: suite_record(store, units, selection)},
        params=joined_params([u.unit for u in finals or units]),
        points=tuple(at_end(values, step=0, span=span)),
        inputs=tuple(ordered(one for u in units for one in u.inputs)),
        artifacts=tuple(artifacts(store, selection)),
        tables=_tables(store),
    )


def suite_record(store: RunStore, units: Sequence[Finished], selection: Selection | None) -> str:
    """Fingerprint of all that the run of a suite is made of."""
    files = [
        [found.folder, found.path.name, hashlib.sha256(found.path.read_bytes()).hexdigest()]
        for found in artifacts(store, selection)
    ]
    return digest([LAYOUT, unit_records(units), files])


def artifacts(store: RunStore, selection: Selection | None) -> Iterator[Artifact]:
    """The selection, the suite as it was written, and every file of the leaderboard, in a fixed order."""
    if selection is not None:
        yield Artifact(store.selection_path)
        written = store.root / "suites" / f"{selection.suite_hash}.yaml"
        if written.exists():
            yield Artifact(written, "suites")
    for path in sorted(store.leaderboard.rglob("*")):
        if path.is_file() and not path.name.startswith("."):  # dots: half-written ones
            yield Artifact(path, path.parent.relative_to(store.root).as_posix())


def leaderboard_is_current(store: RunStore) -> bool:
    """Whether the tables are younger than all that they are made from; False where there are none."""
    table = store.leaderboard / "leaderboard.csv"
    if not table.exists():
        return False
    sources = [store.selection_path, *(folder.path / "result.json" for folder in store.folders())]
    return table.stat().st_mtime >= max(path.stat().st_mtime for path in sources if path.exists())


def _spent(units: Sequence[Finished]) -> float:
    return sum(u.result.spent.useful_device_seconds for u in units)


def _tables(store: RunStore) -> Mapping[str, pd.DataFrame]:
    path = store.leaderboard / "leaderboard.csv"
    return {TABLE: readable_table(path)} if path.exists() else {}


def readable_table(path: Path) -> pd.DataFrame:
    """The leaderboard with what readers look for first, what is the same in all rows last, and nothing that is empty.

    Raises:
        RecordError: The file is no csv.
    """
    try:
        frame = pd.read_csv(path).dropna(axis="columns", how="all")
    except ValueError as error:  # pandas' parsing errors are ValueErrors
        raise RecordError(f"{path}: not a table ({error}); `harness leaderboard` writes it again") from None
    first = [name for name in FIRST_COLUMNS if name in frame]
    others = [name for name in frame if name not in first]
    rest = sorted(others, key=lambda name: frame[name].nunique(dropna=False) == 1)
    return frame[[*first, *rest]].round(DECIMALS)
