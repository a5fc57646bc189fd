"""Finds the calibration of a suite, or measures it as the first step of a run."""

import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.api.errors import UsageError, suggest
from harness.data.cache import Cache
from harness.records.calibration import (
    AGREEMENT,
    Calibration,
    CalibrationHeader,
    EntryCost,
    EntryKey,
    StageCost,
    TooFewStepsError,
    engine_cost,
    resolve,
)
from harness.records.files import is_there, read_record
from harness.records.lease import LeaseHeldError
from harness.records.schema import PROTOCOL_VERSION
from harness.records.suite_folder import SuiteFolder
from harness.suite.contract import refuse_broken_methods
from harness.suite.costs import Configuration, cost_key, is_unit, missing, stage_plans, task_of
from harness.suite.load import LoadedSuite
from harness.suite.plan import Plan, configurations, dataset_of, make_plan, unprepared
from harness.suite.registry import load_method
from harness.train.stop import Heartbeat, StopFlag

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).resolve().parents[2] / "benchmarks" / "calibrations"
WAIT_SECONDS = 3600.0
"""Patience with another process that calibrates the same suite."""


def find_calibration(plan: Plan, store: SuiteFolder) -> Calibration | None:
    """The calibration that a plan is resolved by: the one beside its runs, or else the one that the suite names.

    Raises `UsageError` where that is not there or is of another task or other settings, `RecordError` where it is
    damaged or was edited by hand.
    """
    named = _named(plan.loaded, store)
    stored = [each for each in store.calibrations() if not differences(plan, each.header)]
    if named is not None:
        if differing := differences(plan, named.header):
            raise plan.loaded.error(("calibration",), f"was measured with {'; '.join(differing)}")
        same = [each for each in stored if each.header == named.header]
        return same[0].joined(named) if same else named  # either may hold further entries
    return max(stored, key=lambda each: each.header.measured_at, default=None)


def is_lacking(plan: Plan, known: Calibration | None) -> bool:
    """Whether something must be measured before the steps of a plan are known."""
    return known is None or bool(missing(configurations(plan), known))


def calibrated(plan: Plan, cache: Cache, store: SuiteFolder, measure: bool = True) -> Plan:
    """The plan with its steps by stage, under a budget of reference steps; as it is under another one.

    measure: whether what is not known is measured here, and kept beside the runs, or refused. Raises `UsageError` where
    the calibration lacks an entry, or leaves a stage too few steps.
    """
    if plan.budget.currency != "reference_steps":
        return plan
    known = find_calibration(plan, store)
    if missing(configurations(plan), known) or known is None:
        if not measure:
            command = _calibrate_command(plan, cache, store)
            raise UsageError(f"{store.root}: is not calibrated yet; `{command}` measures it")
        with _alone(store) as stop:
            known = _complete(plan, cache, store, stop)
            store.write_calibration(known)
    elif known not in store.calibrations():
        store.write_calibration(known)
    return plan.on_data(plan.data, known)


def adopt_calibrations(plan: Plan, store: SuiteFolder, source: SuiteFolder) -> None:
    """Take over what another suite has measured, where nothing was here yet: its steps, and so its runs."""
    if plan.budget.currency == "reference_steps" and find_calibration(plan, store) is None:
        for calibration in source.calibrations():
            if not differences(plan, calibration.header):
                store.write_calibration(calibration)


@contextmanager
def _alone(store: SuiteFolder) -> Iterator[StopFlag]:
    """Let one process at a time calibrate a suite; what it yields is set by signals.

    Raises `UsageError` where another process still does so after an hour.
    """
    stop = StopFlag()
    try:
        with store.calibration_lease.held_for(WAIT_SECONDS) as lease, stop.on_signals(), Heartbeat(lease.beat, stop):
            yield stop
    except LeaseHeldError as held:
        raise UsageError(f"{held}, and calibrates this suite; wait for it") from None


def _complete(plan: Plan, cache: Cache, store: SuiteFolder, stop: StopFlag) -> Calibration:
    """Measure what is missing, unless another process did so meanwhile."""
    known = find_calibration(plan, store)
    wanted = _to_measure(plan, known)
    if known is not None and not wanted:
        return known
    log.info("calibration: what a step of each entry costs, beside plain supervised steps")
    if known is None:
        return _measured(plan, wanted, cache, stop, store.calibration_part)
    once = missing(configurations(plan), None)
    recorded = [each for each in once if known.cost_of(each.key) is not None][:2]
    joined = _measured(plan, [*recorded, *wanted], cache, stop, store.calibration_part, known)
    if lines := differing_costs(known, joined):
        name = plan.loaded.suite.calibration
        first = f"leave `calibration: {name}` out of the suite; then " if name is not None else ""
        raise UsageError(
            "\n".join(lines) + f"\nso what is measured here cannot join that table; {first}"
            f"`{_calibrate_command(plan, cache, store)}` measures all entries here, as a table of its own"
        )
    kept = [*known.entries, *(cost for cost in joined.entries if known.cost_of(cost.key) is None)]
    return known.model_copy(update={"entries": tuple(kept)})


def _calibrate_command(plan: Plan, cache: Cache, store: SuiteFolder) -> str:
    data, runs = (shlex.quote(str(path)) for path in (cache.folder, store.root.parent))
    return f"harness calibrate --suite {plan.loaded.option} --data {data} --runs {runs}"


def _to_measure(plan: Plan, known: Calibration | None) -> list[Configuration]:
    """What a calibration lacks, the smallest shares first, so that a budget that starves a stage is refused early.

    A suite of the unit alone measures the unit: seconds of its step are needed all the same.
    """
    wanted = configurations(plan)
    task = task_of(dataset_of(plan.loaded), plan.loaded.suite.preprocessing.size)

    def smallest_share(each: Configuration) -> float:
        method = load_method(each.key.method)
        return min(stage.share for stage in stage_plans(method, method.Params.model_validate(each.run.params), task))

    return sorted(missing(wanted, known), key=smallest_share) or (wanted[:1] if known is None else [])


def _measured(
    plan: Plan,
    wanted: Sequence[Configuration],
    cache: Cache,
    stop: StopFlag,
    part: Path | None,
    known: Calibration | None = None,
) -> Calibration:
    from harness.train.calibrate import calibrate

    refuse = partial(_refuse_starved, plan)
    return calibrate(plan.unit_run, wanted, cache, stop, known=known, part=part, refuse=refuse)


def _refuse_starved(plan: Plan, cost: EntryCost) -> None:
    """Refuse a budget that starves a stage as soon as one process has measured it.

    Further processes may find other costs: what 5 % more budget would mend is left to them.
    """
    suite, task = plan.loaded.suite, task_of(dataset_of(plan.loaded), plan.loaded.suite.preprocessing.size)
    budget = min((suite.budget.at(rung) for rung in suite.budget.rungs), key=lambda rung: rung.amount)
    for name, entry in plan.entries.items():
        key = cost_key(entry.method, entry.params, entry.engine, suite.engine, task)
        if key != cost.key or is_unit(key, entry.method):
            continue
        stages = stage_plans(entry.method, entry.params, task)
        try:
            resolve(budget.of(budget.amount * (1.0 + AGREEMENT)), stages, cost)
        except TooFewStepsError as error:
            raise UsageError(
                f"{name}: even with {AGREEMENT:.0%} more, {error}; give it a larger budget or another share"
            ) from None


def measure_suite(
    loaded: LoadedSuite, data: Path | None, runs: Path, check: bool
) -> tuple[Calibration | None, Calibration, SuiteFolder]:
    """Measure all entries of a suite anew: the calibration on record, if it was asked for; the new one; the folder.

    check: whether there must be a calibration, to be compared; its folder of records may then be missing. Raises
    `UsageError` where the suite has no budget of reference steps, or no calibration to be checked.
    """
    from harness.data.prepare import resolve as find_data

    if loaded.suite.budget.currency != "reference_steps":
        raise loaded.error(("budget",), "is not in reference_steps, so nothing has to be calibrated")
    dataset = dataset_of(loaded)
    refuse_broken_methods(make_plan(loaded, unprepared(dataset)))
    cache = find_data(dataset, data)
    plan = make_plan(loaded, cache.reference)
    root = runs / loaded.suite.name
    wanted = _to_measure(plan, None)
    if not check:
        store = SuiteFolder.create(root)
        with _alone(store) as stop:
            return None, _measured(plan, wanted, cache, stop, store.calibration_part), store
    store = SuiteFolder(root)
    known = find_calibration(plan, store)
    if known is None:
        raise UsageError(
            f"{root}: has no calibration to check; `harness calibrate --suite {loaded.option}` measures one"
        )
    with StopFlag().on_signals() as stop:
        return known, _measured(plan, wanted, cache, stop, None), store


@dataclass(frozen=True)
class Comparison:
    """What one stage costs on record, and what it costs here."""

    key: EntryKey
    recorded: StageCost
    measured: StageCost

    @property
    def difference(self) -> float:
        """Of the cost here, relative to that on record."""
        return self.measured.ratio / self.recorded.ratio - 1.0


def compare(known: Calibration, measured: Calibration) -> list[Comparison]:
    """Each stage that was measured and that is on record."""
    pairs = [(known.cost_of(own.key), own) for own in measured.entries]
    return [
        Comparison(own.key, recorded, stage)
        for before, own in pairs
        if before is not None
        for stage in own.stages
        for recorded in before.stages
        if recorded.name == stage.name
    ]


def differing_costs(known: Calibration, measured: Calibration) -> list[str]:
    """A line for each stage that both hold and that costs something else by more than 5 %."""
    return [
        f"{each.key}, stage {each.measured.name}: costs {each.measured.ratio:.3f} supervised steps here, "
        f"{each.recorded.ratio:.3f} on record"
        for each in compare(known, measured)
        if abs(each.difference) > AGREEMENT
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


def _named(loaded: LoadedSuite, store: SuiteFolder) -> Calibration | None:
    """The calibration that a suite names. None also for a suite on record, whose calibration was kept with the runs."""
    name = loaded.suite.calibration
    if name is None:
        return None
    path = loaded.path.parent / name if name.endswith(".json") else SHIPPED / f"{name}.json.xz"
    if not is_there(path):
        if loaded.path.parent.resolve() == (store.root / "suites").resolve():
            return None
        known = [file.name.removesuffix(".json.xz") for file in SHIPPED.glob("*.json.xz")]
        raise loaded.error(("calibration",), f"{path}: no such calibration; {suggest(name, known)}")
    return read_record(path, Calibration)
