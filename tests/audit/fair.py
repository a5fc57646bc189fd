"""The records of a fair suite, in memory: made-up numbers that hold every rule, to be bent by tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.acdc import ACDC
from harness.audit.records import Aside, SuiteRecords, UnitRecords, read_suite
from harness.records.ledger_line import LedgerLine
from harness.records.run_folder import UnitFolder
from harness.records.schema import Budget, DatasetRef, Engine, Observed, Result, Slot
from tests.synthetic import RunSpec, key, write_run

CHECKSUM = "c" * 64
LOOKED = Observed(
    sampled="weak", declared=(), steps=5, images_same=40, process_cpu_seconds=4.01, looks_that_trained=0
)  # fmt: skip


def fair_suite(folder: Path) -> SuiteRecords:
    """30 units on ACDC: three methods x three subsets x three seeds, the ceiling once a seed, 20 steps each."""
    spec = RunSpec(
        labelled=(7,), subsets=3, seeds=3, phases=("ED",), missed_share=0.1, budget=Budget(steps=20), checksum=CHECKSUM
    )
    data = {"dataset": DatasetRef(name="acdc", version=1, checksum=CHECKSUM)}
    spec = replace(spec, overrides={key(slot): data for slot in spec.slots})
    suite = read_suite(write_run(folder / "fair", spec))
    selection = suite.selection.model_copy(update={"engine": Engine(batch_size=8)})
    return replace(suite, selection=selection, units=tuple(map(_fair_unit, suite.units)))


def _fair_unit(one: UnitRecords) -> UnitRecords:
    """As the engine would have left it: tested on the published patients, watched, the floor without other images."""
    assert one.result is not None
    assert one.cases is not None
    names = dict(zip(sorted(set(one.cases["patient"])), ACDC.splits["test"], strict=True))
    cases = one.cases.assign(patient=one.cases["patient"].map(names))
    update: dict[str, Any] = {"observed": LOOKED}
    if one.slot.method.startswith("supervised"):
        update["labelled_images_seen"] = one.result.images_seen
    result = one.result.model_copy(update=update)
    return replace(one, cases=cases, result=result, final_sha256=result.weights_sha256)


def bend(suite: SuiteRecords, change: Callable[[UnitRecords], UnitRecords], slot: str = "ua_mt/7/0/1") -> SuiteRecords:
    """One unit changed."""
    units = tuple(change(one) if str(one.slot) == slot else one for one in suite.units)
    assert any(new is not old for new, old in zip(units, suite.units, strict=True))
    return replace(suite, units=units)


def planned(suite: SuiteRecords, keep: Callable[[Slot], bool]) -> SuiteRecords:
    """The slots alone that `keep` wants, as if nothing else had been planned."""
    entries = [entry for entry in suite.selection.entries if keep(entry.slot)]
    selection = suite.selection.model_copy(update={"entries": entries})
    return replace(suite, selection=selection, units=tuple(one for one in suite.units if keep(one.slot)))


def result(**update: Any) -> Callable[[UnitRecords], UnitRecords]:
    """Other fields of a unit's result."""

    def change(one: UnitRecords) -> UnitRecords:
        assert one.result is not None
        return replace(one, result=one.result.model_copy(update=update))

    return change


def seen(**update: Any) -> Callable[[UnitRecords], UnitRecords]:
    """Other fields of what the engine saw."""
    return result(observed=LOOKED.model_copy(update=update))


def asked(**update: Any) -> Callable[[UnitRecords], UnitRecords]:
    """Other fields of what was asked; the folder keeps its name."""
    return lambda one: replace(one, unit=one.unit.model_copy(update=update))


def engine(**update: Any) -> Callable[[UnitRecords], UnitRecords]:
    """Other engine settings."""
    return lambda one: asked(engine=one.unit.engine.model_copy(update=update))(one)


def environment(**update: Any) -> Callable[[UnitRecords], UnitRecords]:
    """Another environment."""

    def change(one: UnitRecords) -> UnitRecords:
        assert one.environment is not None
        return replace(one, environment=one.environment.model_copy(update=update))

    return change


def rows(column: str, value: Any, which: int = 0) -> Callable[[UnitRecords], UnitRecords]:
    """One cell of the per-case records changed."""

    def change(one: UnitRecords) -> UnitRecords:
        assert one.cases is not None
        cases = one.cases.copy()
        cases.loc[which, column] = value
        return replace(one, cases=cases)

    return change


def trial(suite: SuiteRecords, method: str, steps: int, *, tested: bool = False, number: int = 0) -> Aside:
    """A unit of a search that took so many steps."""
    unit = suite.units[0].unit.model_copy(update={"role": "search", "method": method, "seed": 100 + number})
    start = LedgerLine(kind="start", attempt=0, at="", environment="e")
    end = start.model_copy(update={"kind": "end", "steps": steps, "device_seconds": 0.2 * steps})
    assert suite.units[0].result is not None
    ended: Result = suite.units[0].result
    return Aside(UnitFolder(Path(unit.id)), unit, (start, end), ended, tested)
