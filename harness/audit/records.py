"""All that the rules are checked on, read once. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.errors import RecordError
from harness.audit.trace import Trace, read_trace
from harness.records.accounts import Reconciliation
from harness.records.ledger_line import LedgerLine
from harness.records.run_folder import UnitFolder
from harness.records.schema import Environment, Observed, Result, Slot, Unit
from harness.records.selection import Points, Selection
from harness.records.suite_folder import RunStore

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class UnitRecords:
    """One unit that the current selection names and that has a record.

    ranked:       False for references such as the ceiling.
    environment:  of the result; None without one.
    final_sha256: of the weights when the test split was opened; None where no final.json lies.
    trace:        of its history.
    cases:        one row per selection, case and class; both None unless it finished well.
    """

    folder: UnitFolder
    slot: Slot
    ranked: bool
    unit: Unit
    result: Result | None
    environment: Environment | None
    ledger: tuple[LedgerLine, ...]
    final_sha256: str | None
    trace: Trace | None
    cases: pd.DataFrame | None

    @property
    def ok(self) -> bool:
        """Whether it has numbers."""
        return self.result is not None and self.result.status == "ok"

    @property
    def name(self) -> str:
        """As people find it: ua_mt/7/0/1 (units/0aca010cfa)."""
        return f"{self.slot} (units/{self.folder.id[:10]})"


@dataclass(frozen=True)
class Finished:
    """A unit with numbers, and its result, which is therefore there."""

    records: UnitRecords
    result: Result

    @property
    def unit(self) -> Unit:
        """What was asked."""
        return self.records.unit

    @property
    def row(self) -> str:
        """The row of the suite that it stands in: its method's name, or that of a variant."""
        return self.records.slot.method

    @property
    def observed(self) -> Observed | None:
        """What the engine saw; None where a version ran that did not look."""
        return self.result.observed


@dataclass(frozen=True)
class Aside:
    """A unit on record that the current selection does not name: of a search, or of an earlier version of the suite.

    tested: whether it left test scores.
    """

    folder: UnitFolder
    unit: Unit
    ledger: tuple[LedgerLine, ...]
    result: Result | None
    tested: bool


@dataclass(frozen=True)
class SuiteRecords:
    """A suite's selection, the records of its units, what else lies beside them, and the points of its search.

    reconciliation: what Slurm charged; None where it was never asked.
    """

    root: Path
    selection: Selection
    units: tuple[UnitRecords, ...]
    others: tuple[Aside, ...] = ()
    points: Points | None = None
    reconciliation: Reconciliation | None = None

    @cached_property
    def trials(self) -> dict[str, list[Aside]]:
        """Row -> the units of the current search that were tried for it, each once."""
        found: dict[str, dict[str, Aside]] = {}
        by_id = {one.folder.id: one for one in self.others}
        for trial in [] if self.points is None else self.points.trials:
            if trial.unit in by_id:
                found.setdefault(trial.method, {})[trial.unit] = by_id[trial.unit]
        return {row: list(units.values()) for row, units in found.items()}

    @cached_property
    def finished(self) -> tuple[Finished, ...]:
        """Units with numbers, in the order of the selection."""
        return tuple(Finished(one, one.result) for one in self.units if one.result is not None and one.ok)

    @cached_property
    def failed(self) -> tuple[UnitRecords, ...]:
        """Units that ended without numbers."""
        return tuple(one for one in self.units if one.result is not None and not one.ok)

    @cached_property
    def cases(self) -> pd.DataFrame:
        """Per-case records of all finished units that have them, with a column `unit`; empty where there are none."""
        import pandas as pd

        frames = {one.folder.id: one.cases for one in self.units if one.ok and one.cases is not None}
        if not frames:
            return pd.DataFrame()
        return pd.concat(frames, names=["unit", None]).reset_index(level="unit").reset_index(drop=True)

    def named(self, ids: Iterable[str]) -> list[UnitRecords]:
        """Units by id, in the order of the selection."""
        wanted = set(ids)
        return [one for one in self.units if one.folder.id in wanted]

    @property
    def planned(self) -> int:
        """Units that the selection names, each once."""
        return len({entry.unit for entry in self.selection.entries})

    @property
    def progress(self) -> str:
        """How many of the planned units have numbers."""
        return f"{len(self.finished)} of {self.planned} units have finished"


def read_suite(store: RunStore) -> SuiteRecords:
    """Read what lies in `store`. Raises `RecordError` for a record that is damaged, missing or newer."""
    selection = store.selection()
    named = {entry.unit for entry in selection.entries}
    others = tuple(_read_aside(folder) for folder in store.folders() if folder.id not in named)
    units = tuple(_read_units(store, selection))
    return SuiteRecords(store.root, selection, units, others, store.points(), store.reconciliation())


def _read_aside(folder: UnitFolder) -> Aside:
    tested = (folder.path / "cases.parquet").exists()
    return Aside(folder, folder.unit, tuple(folder.ledger.lines()), folder.result(), tested)


def _read_units(store: RunStore, selection: Selection) -> Iterator[UnitRecords]:
    entries = {entry.unit: entry for entry in reversed(selection.entries)}
    for folder in store.selected():
        if (folder.path / "unit.json").exists():
            entry = entries[folder.id]
            yield _read_unit(folder, entry.slot, entry.ranked)


def _read_unit(folder: UnitFolder, slot: Slot, ranked: bool) -> UnitRecords:
    result = folder.result()
    ok = result is not None and result.status == "ok"
    try:
        environment = folder.environment()
        cases = folder.cases() if ok and (folder.path / "cases.parquet").exists() else None
        trace = read_trace(folder) if ok else None  # another process may be writing that of a running unit
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise RecordError(f"{folder.path}: a record is missing or damaged: {error}") from None
    return UnitRecords(
        folder=folder,
        slot=slot,
        ranked=ranked,
        unit=folder.unit,
        result=result,
        environment=environment,
        ledger=tuple(folder.ledger.lines()),
        final_sha256=_final_sha256(folder.path / "final.json"),
        trace=trace,
        cases=cases,
    )


def _final_sha256(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["weights_sha256"])
    except (ValueError, KeyError, TypeError):
        raise RecordError(f"{path}: not the record of final weights; it may be damaged") from None
