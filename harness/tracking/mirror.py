"""Brings MLflow to what the records say: adds what is missing, replaces what changed, keeps the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle

from harness.records.selection import Selection
from harness.records.suite_folder import RunStore
from harness.tracking.chosen import Chosen
from harness.tracking.content import METHOD_TAG, RECORD_TAG, SUITE_TAG, UNIT_TAG, Finished, RunContent, unit_content
from harness.tracking.database import mlruns_warning
from harness.tracking.means import method_content, method_record, whole_span
from harness.tracking.origin import ORIGIN_TAG, origin_id
from harness.tracking.rows import row_names
from harness.tracking.saved_views import Place, experiment_tags, saved_views
from harness.tracking.service import find_service
from harness.tracking.suite_run import TABLE, suite_content, suite_record
from harness.tracking.tracker import PARENT_TAG, Known, Tracker, only_writer, open_tracker

COLOUR_TAG = "mlflow.runColor"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of methods in charts; told apart by colour-blind readers (Okabe and Ito)."""

_Key = tuple[str, str]
"""Tag and value: which suite, method or unit."""


@dataclass(frozen=True)
class TrackReport:
    """What one call did. Counts are of units' runs: new ones, replaced ones (re-run units), ones left as they were."""

    uri: str
    experiment: str
    experiment_id: str
    added: int
    replaced: int
    kept: int
    wall_seconds: float

    @property
    def summary(self) -> str:
        """One line for people."""
        return (
            f"tracked {self.added + self.replaced + self.kept} units in experiment {self.experiment} at {self.uri} "
            f"({self.added} new, {self.replaced} replaced, {self.kept} unchanged, {self.wall_seconds:.1f} s)"
        )


def track_store(store: RunStore, tracking_uri: str | None, say: Callable[[str], None]) -> TrackReport:
    """Mirror all finished units into MLflow: an experiment per suite, in it a run per suite, method and unit, nested.

    Doing it again adds nothing; killed at any point, the next call completes it. A run is kept if its tags name the
    same records as those on disk and it was written to its end. Runs of other run directories (`origin.py`) and runs
    that this package did not write are not touched.

    Args:
        store: Records of one suite; the experiment gets the name of its folder.
        tracking_uri: What MLflow is given; None: MLFLOW_TRACKING_URI, else ./mlflow.db.
        say: Gets warnings, a line each.

    Raises:
        ServiceError: The service is dead, not MLflow's, not writable or of another version. The records are safe.
        RecordError: A record cannot be read.
    """
    began = time.monotonic()
    experiment = store.root.resolve().name
    service = find_service(tracking_uri, experiment)
    if warning := mlruns_warning(service):
        say(warning)
    with only_writer(service, store.root) as beat:
        selection = store.selection() if store.selection_path.exists() else None
        rows = row_names(store, selection)
        read = (Finished.read(folder, rows.get(folder.id)) for folder in store.folders())
        units = [unit for unit in read if unit is not None]
        with open_tracker(service, experiment) as tracker:
            mirror = _Mirror(tracker, _Records(store, experiment, units, selection), beat)
            if units:
                mirror.suite()
        return TrackReport(
            service.shown, experiment, tracker.experiment_id,
            mirror.added, mirror.replaced, mirror.kept, time.monotonic() - began,
        )  # fmt: skip


@dataclass(frozen=True)
class _Records:
    """All that is mirrored."""

    store: RunStore
    suite: str
    units: list[Finished]
    selection: Selection | None


class _Mirror:
    """One pass over a suite, given the runs that were there before it.

    The new is written before the old is deleted, so that a kill loses nothing.
    """

    def __init__(self, tracker: Tracker, records: _Records, beat: Callable[[], None]) -> None:
        self._tracker = tracker
        self._records = records
        self._beat = beat
        self._chosen = Chosen.read(records.selection, records.units)
        origin = origin_id(records.store)
        self._tags = {"suite": records.suite, ORIGIN_TAG: origin}
        self._known = _by_key(run for run in tracker.known() if run.tags.get(ORIGIN_TAG, origin) == origin)
        methods = sorted({finished.method for finished in records.units})
        self._colours = dict(zip(methods, cycle(COLOURS), strict=False))
        self.added = self.replaced = self.kept = 0

    def suite(self) -> None:
        """The run of the suite and all below it; then what the experiment's page opens with."""
        store, suite, units = self._records.store, self._records.suite, self._records.units
        selection = self._records.selection
        run_id, old = self._run(
            (SUITE_TAG, suite),
            suite_record(store, units, selection),
            lambda: suite_content(store, units, selection, suite),
        )
        method_runs = [self._method(method, run_id) for method in self._colours]
        self._remove(old)
        table = TABLE if (store.leaderboard / "leaderboard.csv").exists() else None
        place = Place(self._tracker.experiment_id, run_id, tuple(method_runs), table)
        self._tracker.describe(experiment_tags(suite, saved_views(units), place, whole_span(units).end_ms))

    def _method(self, method: str, parent_id: str) -> str:
        units = [finished for finished in self._records.units if finished.method == method]
        selection = self._records.selection
        run_id, old = self._run(
            (METHOD_TAG, method), method_record(method, units, selection),
            lambda: method_content(method, units, selection), self._below(parent_id, method),
        )  # fmt: skip
        for finished in units:
            self._unit(finished, run_id)
        self._remove(old)
        return run_id

    def _unit(self, finished: Finished, parent_id: str) -> None:
        key = (UNIT_TAG, finished.unit.id)
        same, old = self._split(key, finished.record)
        self.kept += same is not None
        self.replaced += same is None and any(run.ended for run in old)
        self.added += same is None and not any(run.ended for run in old)
        tags = {**self._below(parent_id, finished.method), **self._chosen.tag(finished)}
        self._run(key, finished.record, lambda: unit_content(finished), tags)
        self._remove(old)
        self._beat()

    def _below(self, parent_id: str, method: str) -> dict[str, str]:
        """Tags of a run of a method: where it hangs, and its colour in charts."""
        return {PARENT_TAG: parent_id, COLOUR_TAG: self._colours[method]}

    def _run(
        self, key: _Key, record: str, content: Callable[[], RunContent], tags: Mapping[str, str] | None = None
    ) -> tuple[str, list[Known]]:
        """The id of the run that mirrors these records, written if it is not there, and the runs that it replaces."""
        same, old = self._split(key, record)
        wanted = {**self._tags, **(tags or {})}
        if same is None:
            return self._tracker.add(content(), wanted), old
        self._tracker.tag(same.run_id, {name: value for name, value in wanted.items() if same.tags.get(name) != value})
        return same.run_id, old

    def _split(self, key: _Key, record: str) -> tuple[Known | None, list[Known]]:
        """The run that mirrors these records to their end, if there is one, and all others of the same key."""
        runs = self._known.get(key, [])
        same = next((run for run in runs if run.ended and run.tags.get(RECORD_TAG) == record), None)
        return same, [run for run in runs if run is not same]

    def _remove(self, old: Iterable[Known]) -> None:
        for run in old:
            self._tracker.remove(run.run_id)


def _by_key(known: Iterable[Known]) -> dict[_Key, list[Known]]:
    """Runs by the suite, method or unit that they mirror; those of other programs by nothing."""
    found: dict[_Key, list[Known]] = {}
    for run in known:
        for tag in (SUITE_TAG, METHOD_TAG, UNIT_TAG):
            if tag in run.tags:
                found.setdefault((tag, run.tags[tag]), []).append(run)
    return found
