"""Finds the calibration of a suite, or measures it as the first step of a run."""

from __future__ import annotations

import logging
from pathlib import Path

from harness.api.errors import UsageError, suggest
from harness.data.cache import Cache
from harness.records.calibration import AGREEMENT, Calibration, CalibrationHeader, engine_cost
from harness.records.files import is_there, read_record
from harness.records.schema import PROTOCOL_VERSION
from harness.records.suite_folder import SuiteFolder
from harness.suite.costs import missing, task_of
from harness.suite.load import LoadedSuite
from harness.suite.plan import Plan, configurations, dataset_of, make_plan

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).resolve().parents[2] / "benchmarks" / "calibrations"
WAIT_SECONDS = 3600.0
"""Patience with another process that calibrates the same suite."""


def find_calibration(plan: Plan, store: SuiteFolder) -> Calibration | None:
    """The calibration that a plan is resolved by: the one beside its runs, or else the one that the suite names.

    Raises:
        UsageError: the suite names one that is not there, or is of another task or other settings.
        RecordError: it is damaged, or was edited by hand.
    """
    named = _named(plan.loaded)
    stored = [each for each in store.calibrations() if not differences(plan, each.header)]
    if named is not None:
        if differing := differences(plan, named.header):
            raise plan.loaded.error(("calibration",), f"was measured with {'; '.join(differing)}")
        same = [each for each in stored if each.header == named.header]
        return same[0] if same else named  # that beside the runs may hold further entries
    return max(stored, key=lambda each: each.header.measured_at, default=None)


def calibrated(plan: Plan, cache: Cache, store: SuiteFolder, measure: bool = True) -> Plan:
    """The plan with its steps by stage, under a budget of reference steps; as it is under another one.

    Args:
        plan: On its prepared data.
        cache: These data.
        store: Where the calibration is kept, beside the runs.
        measure: Whether what is not known is measured here, or refused.

    Raises:
        UsageError: the calibration lacks an entry, or leaves a stage too few steps.
    """
    if plan.budget.currency != "reference_steps":
        return plan
    known = find_calibration(plan, store)
    if missing(configurations(plan), known) or known is None:
        if not measure:
            raise UsageError(f"{store.root}: is not calibrated yet; `harness run` or `harness calibrate` measures it")
        with store.calibration_lease.held_for(WAIT_SECONDS):
            known = _complete(plan, cache, find_calibration(plan, store))
            store.write_calibration(known)
    elif known not in store.calibrations():
        store.write_calibration(known)
    return plan.on_data(plan.data, known)


def _complete(plan: Plan, cache: Cache, known: Calibration | None) -> Calibration:
    """Measure what is missing, unless another process did so meanwhile."""
    from harness.train.calibrate import calibrate

    wanted = missing(configurations(plan), known)
    if known is not None and not wanted:
        return known
    log.info("calibration: what a step of each entry costs, beside plain supervised steps")
    if known is None:
        return calibrate(plan.unit_run, wanted, cache)
    recorded = [each for each in configurations(plan) if known.cost_of(each.key) is not None][:2]
    joined = calibrate(plan.unit_run, [*recorded, *wanted], cache, known)
    if lines := differing_costs(known, joined):
        raise UsageError(
            "\n".join(lines) + "\nso what is measured here cannot join that table; "
            "`harness calibrate` measures all entries on this machine, as a table of its own"
        )
    kept = [*known.entries, *(cost for cost in joined.entries if known.cost_of(cost.key) is None)]
    return known.model_copy(update={"entries": tuple(kept)})


def measure_suite(
    loaded: LoadedSuite, data: Path | None, runs: Path, check: bool
) -> tuple[Calibration | None, Calibration, SuiteFolder]:
    """Measure all entries of a suite anew.

    Args:
        loaded: The suite.
        data: As for a run.
        runs: Folder of all records.
        check: Whether there must be a calibration, to be compared; its folder of records may then be missing.

    Returns:
        The calibration on record, if it was asked for; the new one; the suite's folder.

    Raises:
        UsageError: the suite has no budget of reference steps, or no calibration to be checked.
    """
    from harness.data.prepare import resolve
    from harness.train.calibrate import calibrate

    if loaded.suite.budget.currency != "reference_steps":
        raise loaded.error(("budget",), "is not in reference_steps, so nothing has to be calibrated")
    dataset = dataset_of(loaded)
    cache = resolve(dataset, data)
    plan = make_plan(loaded, cache.reference)
    root = runs / loaded.suite.name
    store = SuiteFolder(root) if check else SuiteFolder.create(root)
    known = find_calibration(plan, store) if check else None
    if check and known is None:
        raise UsageError(f"{root}: has no calibration to check; `harness calibrate` without --check measures one")
    return known, calibrate(plan.unit_run, missing(configurations(plan), None), cache), store


def differing_costs(known: Calibration, measured: Calibration) -> list[str]:
    """A line for each stage that both hold and that costs something else by more than 5 %."""
    pairs = [(before, measured.cost_of(before.key)) for before in known.entries]
    return [
        f"{before.key}, stage {stage.name}: costs {own.ratio:.3f} supervised steps here, {stage.ratio:.3f} on record"
        for before, new in pairs
        if new is not None
        for stage, own in zip(before.stages, new.stages, strict=True)
        if abs(own.ratio / stage.ratio - 1.0) > AGREEMENT
    ]


def differences(plan: Plan, header: CalibrationHeader) -> list[str]:
    """What a plan asks for and a calibration was not measured with, as "batch_size 8, not 4"."""
    suite = plan.loaded.suite
    task = task_of(dataset_of(plan.loaded), suite.preprocessing.size)
    asked = {
        "protocol_version": PROTOCOL_VERSION,
        "dataset": task.name,
        "channels": task.channels,
        "n_classes": task.n_classes,
        "preprocessing": str(suite.preprocessing),
        **engine_cost(suite.engine),
    }
    measured = {**header.model_dump(include=set(asked)), **header.engine, "preprocessing": str(header.preprocessing)}
    names = [name for name in {**asked, **measured} if asked.get(name) != measured.get(name)]
    return [f"{name} {measured.get(name)}, not {asked.get(name)}" for name in names]


def _named(loaded: LoadedSuite) -> Calibration | None:
    """The calibration that a suite names."""
    name = loaded.suite.calibration
    if name is None:
        return None
    path = loaded.path.parent / name if name.endswith(".json") else SHIPPED / f"{name}.json"
    if not is_there(path):
        known = [file.stem for file in SHIPPED.glob("*.json")]
        raise loaded.error(("calibration",), f"{path}: no such calibration; {suggest(name, known)}")
    return read_record(path, Calibration)
