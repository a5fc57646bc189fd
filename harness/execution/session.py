"""A suite with its data and the folder of its records, and what it takes over from another suite.

Equal ids of runs mean equal settings, data and seeds. The machines may differ: a budget of device time buys more steps
on a faster one.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from harness.api.errors import RecordError
from harness.data.cache import Cache
from harness.data.prepare import resolve
from harness.execution.calibration import adopt_calibrations, calibrated, find_calibration, is_lacking
from harness.records.files import read_content, write_bytes
from harness.records.lease import LeaseHeldError
from harness.records.reader import RunRecord, SuiteRecords, find_id
from harness.records.run_folder import RunFolder
from harness.records.schema import Infeasible, Run, Trial
from harness.records.suite_folder import Selection, SuiteFolder, Trials
from harness.records.verification import find_run_flaws
from harness.suite.contract import refuse_broken_methods
from harness.suite.load import LoadedSuite
from harness.suite.plan import Plan, dataset_of, make_plan, unprepared
from harness.suite.trials import PlannedTrial

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    plan: Plan
    cache: Cache
    store: SuiteFolder

    def folder(self, run: Run) -> RunFolder:
        return self.store.by_id(run.id)

    @cached_property
    def _names(self) -> dict[str, str]:
        return self.plan.names

    def name_of(self, run: Run) -> str:
        """The name of its planned run or trial, as `harness train` takes it: ua_mt_strong/7/0/1."""
        if run.id not in self._names:
            # an adaptive search records new trials as it goes, and who joins a session has no plan
            selection = SuiteRecords(self.store).selection
            finals = [] if selection is None else reversed(selection.entries)
            self._names.update({entry.run: str(entry.planned_run) for entry in finals})
            self._names.update({trial.run: str(trial) for trial in self.recorded_trials()})
        return self._names.get(run.id, run.label)

    def pending(self) -> list[Run]:
        """Runs without a result, in the plan's order."""
        return [run for run in self.plan.runs if not self.folder(run).done]

    @property
    def named(self) -> list[str]:
        """Ids of all runs of the suite so far, with those that a search proposed."""
        proposed = [] if self.plan.loaded.suite.search is None else self.recorded_trials()
        return list(dict.fromkeys([*(trial.run for trial in proposed), *(run.id for run in self.plan.runs)]))

    def recorded_trials(self) -> list[Trial]:
        trials = self.store.trials()
        return [] if trials is None else trials.trials

    def recorded_infeasible(self) -> list[Infeasible]:
        trials = self.store.trials()
        return [] if trials is None else trials.infeasible

    @property
    def summary(self) -> str:
        """Number of runs, done and to run: of the finals (of one rung where the plan is), else of the trials."""
        named = {planned.run.id for planned in self.plan.asked_finals or self.plan.trials}
        done = sum(self.store.by_id(run).done for run in named)
        return f"{len(named)} {'runs' if self.plan.finals else 'trials'}, {done} done, {len(named) - done} to run"

    def with_selection(self, selection: Selection) -> Session:
        """Record the selection of a search, before its final runs may start; the session with those runs."""
        self.store.write_selection(selection)
        return _record_runs(self.plan, self.cache, self.store)

    def find(self, name: str) -> Run:
        """Find a run of the plan or on record.

        name: id, beginning of an id, planned run (ua_mt/7/0/1) or trial (ua_mt/trial/0/5).

        Raises `UsageError` where no run or several runs match.
        """
        names = self.plan.run_ids | {str(trial): trial.run for trial in self.recorded_trials()}
        recorded = (folder.id for folder in self.store.folders())
        return self.store.by_id(find_id(name, names, recorded, "of this suite")).run

    def failed(self) -> list[RunFolder]:
        """The plan's runs with a failure record, which may be tried again. Trials behind a selection may not."""
        finals = {planned.run.id for planned in self.plan.finals}
        folders = [self.store.by_id(run) for run in self.named if run in finals or not finals]
        results = [(folder, folder.result()) for folder in folders]
        return [folder for folder, result in results if result is not None and result.status == "failed"]


def open_session(
    loaded: LoadedSuite,
    data: Path | None,
    runs: Path,
    rung: int | None = None,
    source: Path | None = None,
    *,
    measure: bool = True,
) -> Session:
    """Plan a suite, find or prepare its data, and record its trials, its selection and its runs before any starts.

    data:    folder of the data set, or of prepared data. None takes HARNESS_DATA.
    rung:    of the suite's ladder, to whose runs the session is limited. None: all.
    source:  folder of another suite's records, whose calibration serves where there is none yet: equal steps are
             equal runs, which `reuse` can take over.
    measure: whether a calibration that is missing is measured here, or refused.

    Raises `UsageError` where the suite is wrong, has no such rung, is not calibrated and must not be here, or `source`
    has no records; `DataError`, `RecordError` or `DiskError` for what lies on the disk.
    """
    plan, cache, store = _in_folder(loaded, data, runs, rung, source)
    store.remove_leftovers()
    plan = calibrated(plan, cache, store, measure)
    if loaded.suite.search is not None:
        recorded = store.trials()
        trials = _trials_of(plan, recorded)
        if trials != recorded:  # or what another driver has added since would be lost
            store.write_trials(trials)
        plan = with_recorded_trials(plan, store)
    else:
        store.write_selection(plan.selection())
        if store.trials() is not None:  # of an earlier version of the suite
            store.write_trials(Trials(suite_hash=loaded.suite.hash, trials=[]))
    return _record_runs(plan, cache, store)


def open_uncalibrated(
    loaded: LoadedSuite, data: Path | None, runs: Path, rung: int | None = None, source: Path | None = None
) -> Session | None:
    """A suite that must be calibrated before its runs are known: its plan without steps. None: `open_session` opens it.

    Raises as that. What it finds of a calibration that the suite names is kept beside the runs.
    """
    if loaded.suite.budget.currency != "reference_steps":
        return None
    plan, cache, store = _in_folder(loaded, data, runs, rung, source)
    known = find_calibration(plan, store)
    if not is_lacking(plan, known):
        return None
    if known is not None and known not in store.calibrations():
        store.write_calibration(known)
    return Session(plan, cache, store)


def join_session(loaded: LoadedSuite, data: Path | None, runs: Path) -> Session:
    """The session of a process that a driver has started, without its plan: it is told ids of runs on record.

    To plan a suite takes the longer the more runs it has, and each has a process. Nothing is written, so a child of an
    earlier driver cannot undo the selection of a later one.
    """
    cache = resolve(dataset_of(loaded), data)
    store = SuiteFolder.open(runs / loaded.suite.name)
    return Session(Plan(loaded, cache.reference, {}, (), (), ()), cache, store)


def _in_folder(
    loaded: LoadedSuite,
    data: Path | None,
    runs: Path,
    rung: int | None = None,
    source: Path | None = None,
) -> tuple[Plan, Cache, SuiteFolder]:
    SuiteFolder.refuse_foreign(runs / loaded.suite.name)  # before minutes of preparing data
    plan, cache = plan_on_data(loaded, data, rung)
    store = SuiteFolder.create(runs / loaded.suite.name)
    store.keep_suite(loaded.text, loaded.suite.hash)
    if source is not None:
        adopt_calibrations(plan, store, SuiteRecords.open(source).store)
    return plan, cache, store


def _record_runs(plan: Plan, cache: Cache, store: SuiteFolder) -> Session:
    """The session, with the final runs that an earlier search has selected."""
    if plan.loaded.suite.search is not None and store.selection_path.exists():
        plan = plan.with_selection(store.selection())
    for run in plan.runs:
        store.by_id(run.id).create(run)
    return Session(plan, cache, store)


def _trials_of(plan: Plan, recorded: Trials | None) -> Trials:
    """The trials of the plan, and those that an adaptive search recorded earlier in the same studies."""
    suite, trials = plan.loaded.suite, [planned.trial for planned in plan.trials]
    adaptive = suite.search is not None and suite.search.mode == "adaptive"
    if not adaptive or recorded is None or recorded.suite_hash != suite.hash:
        return Trials(suite_hash=suite.hash, trials=trials, infeasible=list(plan.infeasible))
    begun = {(trial.entry, trial.study) for trial in trials if trial in recorded.trials}
    kept = [trial for trial in recorded.trials if (trial.entry, trial.study) in begun]
    refused = [proposal for proposal in recorded.infeasible if (proposal.entry, proposal.study) in begun]
    every = [*kept, *(trial for trial in trials if trial not in kept)]
    return Trials(suite_hash=suite.hash, trials=every, infeasible=refused)


def with_recorded_trials(plan: Plan, store: SuiteFolder) -> Plan:
    """The plan with the trials that an adaptive search has recorded, too."""
    named = {planned.run.id: planned.run for planned in plan.trials}
    trials = _trials_of(plan, store.trials()).trials
    runs = [named.get(trial.run) or store.by_id(trial.run).run for trial in trials]
    return replace(plan, trials=tuple(map(PlannedTrial, trials, runs)))


def plan_on_data(loaded: LoadedSuite, data: Path | None, rung: int | None = None) -> tuple[Plan, Cache]:
    """The plan on the prepared data. The whole suite is checked, each method built, before any data are touched."""
    dataset = dataset_of(loaded)
    plan = make_plan(loaded, unprepared(dataset)).at_rung(rung)
    refuse_broken_methods(plan)
    cache = resolve(dataset, data)
    refuse_unknown_millimetres(loaded, cache)
    return plan.on_data(cache.reference), cache


def refuse_unknown_millimetres(loaded: LoadedSuite, cache: Cache) -> None:
    """Raise `UsageError` for a tolerance in millimetres where the voxel size of a test case is unknown."""
    unknown = [case.id for case in cache.manifest.of("test") if case.spacing_mm is None]
    if unknown and loaded.suite.engine.nsd_tolerance_mm is not None:
        raise loaded.error(
            ("engine", "nsd_tolerance_mm"),
            f"the voxel size of {len(unknown)} test cases of {cache.manifest.dataset} is unknown ({unknown[0]}); "
            "give nsd_tolerance_voxels, or prepare the data from files that hold it",
        )


def reuse(session: Session, source: Path) -> list[Run]:
    """Copy the records of pending runs that ended well in another suite's folder, log how many, and return these runs.

    Unfinished and failed runs are trained here; so is one that was begun here, since its ledger would be lost, or that
    another process runs.

    Raises `UsageError` where there are no records in `source`, and `RecordError` where those of a wanted run are
    damaged: nothing of that run is copied.
    """
    other = SuiteRecords.open(source)
    wanted = [run for run in session.pending() if other.run(run.id).ok]
    for run in wanted:
        for flaw in find_run_flaws(other.run(run.id)):
            raise RecordError(flaw)
    taken = [run for run in wanted if _copy(other, session.store, run)]
    log.info("%s: %d runs taken over", source, len(taken))
    if count := count_elsewhere(session, taken):
        log.warning(
            "%d of them ran on another host, where device time may have bought more steps or fewer than "
            "it does here: compare the steps of entries, or train them again without --reuse",
            count,
        )
    return taken


def count_elsewhere(session: Session, taken: Sequence[Run]) -> int:
    """How many of these runs spent a budget of device time on another or an unknown host."""
    results = (session.folder(run).result() for run in taken if run.budget.device_seconds is not None)
    return sum(result is not None and result.shown.get("host") != socket.gethostname() for result in results)


def _copy(source: SuiteRecords, target: SuiteFolder, run: Run) -> bool:
    record, copy = source.run(run.id), target.by_id(run.id)
    try:
        with copy.lease.held_for():
            if copy.done or copy.ledger.lines():
                return False
            _copy_environments(source, target, record)
            # a run counts as begun once its ledger has lines, and as done once its result exists: they come last
            files = sorted(record.folder.ended_files(), key=lambda path: path == record.folder.ledger.path)
            for path in [*files, record.folder.path / "result.json"]:
                write_bytes(copy.path / path.relative_to(record.folder.path), read_content(path))
            return True
    except LeaseHeldError:
        return False


def _copy_environments(source: SuiteRecords, target: SuiteFolder, record: RunRecord) -> None:
    for name in sorted({line.environment for line in record.ledger if line.environment}):
        path, copy = (root / "environments" / f"{name}.json" for root in (source.root, target.root))
        if not path.exists():
            raise RecordError(f"{path} is missing: run {record.id[:10]} cannot be taken over")
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            write_bytes(copy, read_content(path))
