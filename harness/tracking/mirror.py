"""Brings MLflow to what the records say: adds what is missing, replaces what changed, keeps the rest.

Two people who track suites of one name to one server share its experiment, and each keeps a suite run of their own.
They differ in the id in `tracking.json`, drawn when a run directory is tracked for the first time: it is copied with
the directory, and not exported, so imported records are another set.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Literal

from harness.api.errors import DiskError
from harness.api.strict import Strict, digest
from harness.leaderboard.figure import PALETTE
from harness.records.files import read_record, write_record
from harness.records.reader import SuiteRecords
from harness.records.schema import SCHEMA
from harness.tracking.content import RunContent, Tag, run_content
from harness.tracking.parents import entry_content, entry_fingerprint, suite_content, suite_fingerprint
from harness.tracking.service import Service, find_service, note_older_runs, open_client
from harness.tracking.tracked import TrackedRun, TrackedSuite

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ID_LENGTH = 12

ENTRY = "method"
"""Tag of runs and of entries: what the suite calls them."""

PAGE = 1000
MAX_METRICS, MAX_PARAMS = 900, 100
"""Of one call: MLflow takes 100 params and 1000 of both, and each call costs a dozen queries."""


class Origin(Strict):
    """tracking.json of a run directory."""

    schema_version: Literal[2] = 2
    id: str


@dataclass(frozen=True)
class TrackReport:
    """What one call did; replaced: since they ran again."""

    uri: str
    experiment: str
    experiment_id: str
    added: int
    replaced: int
    kept: int
    wall_seconds: float

    @property
    def summary(self) -> str:
        return (
            f"tracked {self.added + self.replaced + self.kept} runs in experiment {self.experiment} at {self.uri} "
            f"({self.added} new, {self.replaced} replaced, {self.kept} unchanged, {self.wall_seconds:.1f} s)"
        )


def track(records: SuiteRecords, tracking_uri: str | None = None) -> TrackReport:
    """Mirror all runs that have ended into MLflow: an experiment per suite, in it a run per suite, entry and run.

    A second call adds nothing. After a kill at any point the next call completes it. Runs of other run directories and
    runs that this package did not write are not touched.

    Args:
        records: Records of one suite; the experiment gets its name.
        tracking_uri: What MLflow is given; None: MLFLOW_TRACKING_URI, else ./mlflow.db.

    Raises:
        ServiceError: The service is dead, not MLflow's, not writable or of another version. The records are safe.
        RecordError: A record cannot be read.
    """
    began = time.monotonic()
    service = find_service(tracking_uri, records.root)
    with open_client(service, records.root) as (client, beat):
        mirror = _Mirror(client, service, TrackedSuite(records), beat)
        mirror.write()
    added, replaced, kept = (mirror.outcomes[outcome] for outcome in ("added", "replaced", "kept"))
    wall_seconds = time.monotonic() - began
    note_older_runs(service)
    return TrackReport(service.shown, records.name, mirror.experiment_id, added, replaced, kept, wall_seconds)


def origin_id(records: SuiteRecords) -> str:
    """The id of a run directory, drawn at first use.

    Records of somebody else that may only be read, and were never tracked, are known by where they lie.
    """
    path = records.root / "tracking.json"
    if not path.exists():
        try:
            write_record(path, Origin(id=uuid.uuid4().hex[:ID_LENGTH]))
        except DiskError:
            return digest(str(records.root.resolve()))[:ID_LENGTH]
    return read_record(path, Origin).id


class _Mirror:
    """One pass over a suite, given the runs that were there before it.

    New runs are written before old ones are deleted, so that a kill loses nothing.
    """

    def __init__(self, client: MlflowClient, service: Service, suite: TrackedSuite, beat: Callable[[], None]) -> None:
        self._client = client
        self._suite = suite
        self._beat = beat
        self.experiment_id = _experiment_id(self._client, service, suite.records.name)
        origin = origin_id(suite.records)
        self._tags = {"suite": suite.records.name, Tag.ORIGIN: origin, Tag.SCHEMA: str(SCHEMA)}
        self._known: dict[tuple[str, str], list[Run]] = {}
        for run in _known_runs(self._client, service, self.experiment_id):
            tags = run.data.tags
            for key in {Tag.SUITE, Tag.METHOD, Tag.RUN} & tags.keys() if tags.get(Tag.ORIGIN) == origin else ():
                self._known.setdefault((key, tags[key]), []).append(run)
        self._colours = dict(zip(suite.entries, cycle(PALETTE), strict=False))
        self.outcomes: Counter[str] = Counter()

    def write(self) -> None:
        """Write the run of the suite and all below it."""
        suite = self._suite
        if not suite.runs:
            return
        tags = {Tag.SUITE: suite.records.name, Tag.ROLE: "suite", Tag.RECORD: suite_fingerprint(suite)}
        with self._mlflow_run(Tag.SUITE, tags, lambda: suite_content(suite)) as (run_id, _):
            for entry in suite.entries:
                self._entry(entry, run_id)
        self._remove_empty_entries({run.record.id for run in suite.runs})

    def _entry(self, entry: str, parent_id: str) -> None:
        suite, colour = self._suite, {Tag.COLOUR: self._colours[entry]}
        tags = {Tag.METHOD: entry, ENTRY: entry, Tag.ROLE: "method", Tag.RECORD: entry_fingerprint(suite, entry)}
        below = {Tag.PARENT: parent_id, **colour}
        with self._mlflow_run(Tag.METHOD, tags | below, lambda: entry_content(suite, entry)) as (entry_id, _):
            for run in suite.entries[entry]:
                self._run(run, {Tag.PARENT: entry_id, **colour})

    def _remove_empty_entries(self, tracked: set[str]) -> None:
        """Those all of whose runs are another entry's now; runs that are no longer on record keep theirs."""
        known = [(*key, run) for key, runs in self._known.items() for run in runs]
        kept = {run.data.tags.get(Tag.PARENT) for key, name, run in known if key == Tag.RUN and name not in tracked}
        for key, name, run in known:
            if key == Tag.METHOD and name not in self._suite.entries and run.info.run_id not in kept:
                self._client.delete_run(run.info.run_id)

    def _run(self, run: TrackedRun, below: dict[str, str]) -> None:
        chosen = "yes" if run.record.id in self._suite.chosen else "no"
        tags = {Tag.RUN: run.record.id, ENTRY: run.entry, Tag.ROLE: run.asked.role, Tag.CHOSEN: chosen}
        tags |= {Tag.RECORD: run.fingerprint, **below}
        with self._mlflow_run(Tag.RUN, tags, lambda: run_content(run)) as (_, outcome):
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
        ended = [run for run in runs if run.info.status != "RUNNING"]
        record = {name: tags.get(name) for name in (Tag.RECORD, ENTRY)}  # a suite may call a run otherwise later
        same = next((run for run in ended if record.items() <= {ENTRY: None, **run.data.tags}.items()), None)
        if same is None:
            yield self._add(content(), wanted), "replaced" if ended else "added"
        else:
            for name in (name for name, value in wanted.items() if same.data.tags.get(name) != value):
                self._client.set_tag(same.info.run_id, name, wanted[name])
            yield same.info.run_id, "kept"
        for run in runs:
            if run is not same:
                self._client.delete_run(run.info.run_id)  # into MLflow's bin, until `mlflow gc`

    def _add(self, content: RunContent, tags: dict[str, str]) -> str:
        """The id of a new run with these tags besides its own, which is RUNNING until the last of it is there."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

        client, start, tags = self._client, content.span.start_ms, {**content.tags, **tags}
        run = client.create_run(self.experiment_id, start_time=start, tags=tags, run_name=content.name)
        run_id: str = run.info.run_id
        params = [Param(name, value) for name, value in content.params.items()]
        metrics = [Metric(point.name, point.value, point.at_ms, point.step) for point in content.points]
        while params or metrics:
            client.log_batch(run_id, params=params[:MAX_PARAMS], metrics=metrics[:MAX_METRICS])
            params, metrics = params[MAX_PARAMS:], metrics[MAX_METRICS:]
        datasets = []
        for data in content.inputs:
            dataset = Dataset(data.name, data.digest, source_type="harness", source=data.source, profile=data.profile)
            datasets.append(DatasetInput(dataset, [InputTag("mlflow.data.context", data.context)]))
        if datasets:
            client.log_inputs(run_id, datasets=datasets)
        for name, table in content.tables.items():
            client.log_table(run_id, table.astype(object), name)  # pandas deprecates what MLflow does to text
        for artifact in content.artifacts:
            client.log_artifact(run_id, str(artifact.path), artifact.folder or None)
        client.set_terminated(run_id, content.status, content.span.end_ms)
        return run_id


def _known_runs(client: MlflowClient, service: Service, experiment_id: str) -> list[Run]:
    """All runs that are not deleted. Raises `ServiceError` for runs of another schema, which are not touched."""
    runs: list[Run] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs([experiment_id], max_results=PAGE, page_token=token or None)
        runs += page
        token = page.token or None
    for schema in (run.data.tags.get(Tag.SCHEMA) for run in runs if Tag.RECORD in run.data.tags):
        if schema != str(SCHEMA):
            writer = "harness 0.1.0" if schema is None else f"a harness of schema {schema}"
            raise service.error(
                f"the experiment holds runs of {writer}, which reads them; rename it in MLflow, or name another "
                "database or server"
            )
    return runs


def _experiment_id(client: MlflowClient, service: Service, name: str) -> str:
    """The experiment of that name: as it is there, taken out of the bin, or created."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        folder = (service.artifacts / name).as_uri() if service.artifacts else None
        return str(client.create_experiment(name, artifact_location=folder))
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)
