"""Brings MLflow to what the records say: adds what is missing, replaces what changed, keeps the rest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

from harness.records.reader import SuiteRecords
from harness.records.schema import SCHEMA
from harness.tracking.content import (
    CHOSEN_TAG,
    METHOD_TAG,
    RECORD_TAG,
    ROLE_TAG,
    RUN_TAG,
    SCHEMA_TAG,
    SUITE_TAG,
    RunContent,
    run_content,
)
from harness.tracking.database import warn_of_mlruns
from harness.tracking.means import entry_content, entry_fingerprint
from harness.tracking.origin import ORIGIN_TAG, origin_id
from harness.tracking.saved_views import Place, experiment_tags, saved_views
from harness.tracking.service import find_service
from harness.tracking.suite_run import TABLE, leaderboard_csv, suite_content, suite_fingerprint
from harness.tracking.tracked import TrackedRun, TrackedSuite, whole_span
from harness.tracking.tracker import PARENT_TAG, Known, Tracker, only_writer, open_tracker

KEY_TAGS = {SUITE_TAG, METHOD_TAG, RUN_TAG}
"""A run of MLflow has one of these tags: it says what the run mirrors."""

COLOUR_TAG = "mlflow.runColor"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours of entries in charts, which colour-blind readers distinguish (Okabe and Ito)."""


@dataclass(frozen=True)
class TrackReport:
    """What one call did: how many runs were added, replaced (since they ran again) and kept."""

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
            f"tracked {self.added + self.replaced + self.kept} runs in experiment {self.experiment} at {self.uri} "
            f"({self.added} new, {self.replaced} replaced, {self.kept} unchanged, {self.wall_seconds:.1f} s)"
        )


def track(records: SuiteRecords, tracking_uri: str | None = None) -> TrackReport:
    """Mirror all runs that have ended into MLflow: an experiment per suite, in it a run per suite, entry and run.

    A second call adds nothing. After a kill at any point the next call completes it. A run is kept if its tags name the
    same records as those on disk and it was written to its end. Runs of other run directories (`origin.py`) and runs
    that this package did not write are not touched.

    Args:
        records: Records of one suite; the experiment gets its name.
        tracking_uri: What MLflow is given; None: MLFLOW_TRACKING_URI, else ./mlflow.db.

    Returns:
        Where the runs are, and how many were added, replaced and kept.

    Raises:
        ServiceError: The service is dead, not MLflow's, not writable or of another version. The records are safe.
        RecordError: A record cannot be read.
    """
    began = time.monotonic()
    service = find_service(tracking_uri, records.name)
    warn_of_mlruns(service)
    with only_writer(service, records.root) as beat, open_tracker(service, records.name) as tracker:
        mirror = _Mirror(tracker, TrackedSuite(records), beat)
        mirror.write()
    added, replaced, kept = (mirror.outcomes[outcome] for outcome in ("added", "replaced", "kept"))
    wall_seconds = time.monotonic() - began
    return TrackReport(service.shown, records.name, tracker.experiment_id, added, replaced, kept, wall_seconds)


class _Mirror:
    """One pass over a suite, given the runs that were there before it.

    New runs are written before old ones are deleted, so that a kill loses nothing. outcomes: how many runs were added,
    replaced and kept.
    """

    def __init__(self, tracker: Tracker, suite: TrackedSuite, beat: Callable[[], None]) -> None:
        self._tracker = tracker
        self._suite = suite
        self._beat = beat
        origin = origin_id(suite.records)
        self._tags = {"suite": suite.records.name, ORIGIN_TAG: origin, SCHEMA_TAG: str(SCHEMA)}
        self._known: dict[tuple[str, str], list[Known]] = {}
        for run in tracker.known():
            for key in KEY_TAGS & run.tags.keys() if run.tags.get(ORIGIN_TAG) == origin else ():
                self._known.setdefault((key, run.tags[key]), []).append(run)
        self._colours = dict(zip(suite.entries, cycle(COLOURS), strict=False))
        self.outcomes: Counter[str] = Counter()

    def write(self) -> None:
        """Write the run of the suite and all below it, then the tags of the experiment's page."""
        suite, name = self._suite, self._suite.records.name
        if not suite.runs:
            return
        tags = {SUITE_TAG: name, ROLE_TAG: "suite", RECORD_TAG: suite_fingerprint(suite)}
        with self._mlflow_run(SUITE_TAG, tags, lambda: suite_content(suite)) as (run_id, _):
            entry_runs = tuple(self._entry(entry, run_id) for entry in suite.entries)
        table = TABLE if leaderboard_csv(suite.records).exists() else None
        place = Place(self._tracker.experiment_id, run_id, entry_runs, table)
        self._tracker.describe(experiment_tags(name, saved_views(suite), place, whole_span(suite.runs).end_ms))

    def _entry(self, entry: str, parent_id: str) -> str:
        """Write the MLflow run of an entry and all below it, and return its id."""
        suite, colour = self._suite, {COLOUR_TAG: self._colours[entry]}
        tags = {METHOD_TAG: entry, ROLE_TAG: "method", RECORD_TAG: entry_fingerprint(suite, entry)}
        below = {PARENT_TAG: parent_id, **colour}
        with self._mlflow_run(METHOD_TAG, tags | below, lambda: entry_content(suite, entry)) as (entry_id, _):
            for run in suite.entries[entry]:
                self._run(run, {PARENT_TAG: entry_id, **colour})
        return entry_id

    def _run(self, run: TrackedRun, below: dict[str, str]) -> None:
        """Write the MLflow run of one run. below: tags that say under which parent."""
        chosen = "yes" if run.record.id in self._suite.chosen else "no"
        tags = {RUN_TAG: run.record.id, ROLE_TAG: run.asked.role, RECORD_TAG: run.fingerprint, CHOSEN_TAG: chosen}
        with self._mlflow_run(RUN_TAG, tags | below, lambda: run_content(run)) as (_, outcome):
            self.outcomes[outcome] += 1
        self._beat()

    @contextmanager
    def _mlflow_run(
        self, key: str, tags: dict[str, str], content: Callable[[], RunContent]
    ) -> Iterator[tuple[str, str]]:
        """The MLflow run of these records, written if it is absent. Those that it replaces are removed at the end.

        key: the tag that says what it mirrors. Yields its id, and whether it was added, replaced or kept.
        """
        wanted = self._tags | tags
        runs = self._known.get((key, tags[key]), [])
        same = next((run for run in runs if run.ended and run.tags.get(RECORD_TAG) == tags[RECORD_TAG]), None)
        if same is None:
            yield self._tracker.add(content(), wanted), "replaced" if any(run.ended for run in runs) else "added"
        else:
            self._tracker.tag(same.run_id, {k: value for k, value in wanted.items() if same.tags.get(k) != value})
            yield same.run_id, "kept"
        for run in runs:
            if run is not same:
                self._tracker.remove(run.run_id)
