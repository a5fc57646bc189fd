"""Brings MLflow to what the records say: adds what is missing, replaces what changed, keeps the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.spec.records import Selection
from harness.store import RunStore
from harness.track.content import METHOD_TAG, RECORD_TAG, UNIT_TAG, Finished, unit_content
from harness.track.database import mlruns_warning
from harness.track.means import method_content, method_record
from harness.track.pictures import Draw, with_pictures
from harness.track.service import find_service
from harness.track.tracker import PARENT_TAG, Known, Tracker, only_writer, open_tracker


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


def track_store(
    store: RunStore, tracking_uri: str | None, say: Callable[[str], None], draw: Draw | None = None
) -> TrackReport:
    """Mirror all finished units into MLflow: an experiment per suite, a run per method, a run per unit below it.

    Doing it again adds nothing; killed at any point, the next call completes it. A run is kept if its tags name the
    same records as those on disk and it was written to its end. Runs that this package did not write are not touched.

    Args:
        store: Records of one suite; the experiment gets the name of its folder.
        tracking_uri: What MLflow is given; None: MLFLOW_TRACKING_URI, else ./mlflow.db.
        say: Gets warnings, a line each.
        draw: Draws pictures of a unit, which become artifacts of its run; None: no pictures.

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
        units = [unit for unit in map(Finished.read, store.folders()) if unit is not None]
        selection = store.selection() if store.selection_path.exists() else None
        with open_tracker(service, experiment) as tracker:
            mirror = _Mirror(tracker, tracker.known(), beat, draw)
            for method in sorted({finished.unit.method for finished in units}):
                mirror.method(method, [finished for finished in units if finished.unit.method == method], selection)
        return TrackReport(
            service.shown, experiment, tracker.experiment_id,
            mirror.added, mirror.replaced, mirror.kept, time.monotonic() - began,
        )  # fmt: skip


class _Mirror:
    """One pass over the methods of a suite, given the runs that were there before it."""

    def __init__(self, tracker: Tracker, known: Iterable[Known], beat: Callable[[], None], draw: Draw | None) -> None:
        self._tracker = tracker
        self._beat = beat
        self._draw = draw
        self._known: dict[tuple[str, str], list[Known]] = {}
        for run in known:
            for tag in (UNIT_TAG, METHOD_TAG):
                if tag in run.tags:
                    self._known.setdefault((tag, run.tags[tag]), []).append(run)
        self.added = self.replaced = self.kept = 0

    def method(self, method: str, units: list[Finished], selection: Selection | None) -> None:
        """The runs of one method. The new is written before the old is deleted, so that a kill loses nothing."""
        same, old = self._split(METHOD_TAG, method, method_record(method, units, selection))
        parent_id = same.run_id if same else self._tracker.add(method_content(method, units, selection))
        for finished in units:
            self._unit(finished, parent_id)
        for run in old:
            self._tracker.remove(run.run_id)

    def _unit(self, finished: Finished, parent_id: str) -> None:
        same, old = self._split(UNIT_TAG, finished.unit.id, finished.record)
        if same is None:
            with with_pictures(unit_content(finished), finished.folder, self._draw) as content:
                self._tracker.add(content, parent_id)
            self.replaced += any(run.ended for run in old)
            self.added += not any(run.ended for run in old)
        else:
            self.kept += 1
            if same.tags.get(PARENT_TAG) != parent_id:
                self._tracker.nest(same.run_id, parent_id)
        for run in old:
            self._tracker.remove(run.run_id)
        self._beat()

    def _split(self, tag: str, value: str, record: str) -> tuple[Known | None, list[Known]]:
        """The run that mirrors these records to their end, if there is one, and all others of the same key."""
        runs = self._known.get((tag, value), [])
        same = next((run for run in runs if run.ended and run.tags.get(RECORD_TAG) == record), None)
        return same, [run for run in runs if run is not same]
