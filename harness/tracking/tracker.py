"""MLflow as this package uses it: few calls, large batches, one writer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.api.errors import DiskError
from harness.records.lease import Lease, LeaseHeldError
from harness.records.schema import SCHEMA
from harness.tracking.content import RECORD_TAG, SCHEMA_TAG, RunContent
from harness.tracking.database import artifact_folder, create_database, is_new_database
from harness.tracking.inputs import Input
from harness.tracking.saved_views import NOTE_TAG, SIGNATURE
from harness.tracking.service import DATABASES, Service, find_service, quiet_mlflow, service_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

MAX_ITEMS = 1000
MAX_PARAMS = 100
"""Of one log_batch call, as MLflow limits it."""

PAGE = 1000
WAIT_SECONDS = 60.0
"""For another writer to finish."""

PARENT_TAG = "mlflow.parentRunId"

P = TypeVar("P")
M = TypeVar("M")


@dataclass(frozen=True)
class Known:
    """A run that is there already."""

    run_id: str
    ended: bool
    tags: Mapping[str, str]


class Tracker:
    """The runs of one experiment. Every method raises `ServiceError` when the service fails."""

    def __init__(self, client: MlflowClient, experiment_id: str, service: Service) -> None:
        self._client = client
        self._service = service
        self.experiment_id = experiment_id

    def known(self) -> list[Known]:
        """All runs that are not deleted. Raises `ServiceError` for runs of another schema, which are not touched."""
        runs: list[Known] = []
        token: str | None = ""
        with service_errors(self._service):
            while token is not None:
                page = self._client.search_runs([self.experiment_id], max_results=PAGE, page_token=token or None)
                runs += [Known(run.info.run_id, run.info.status != "RUNNING", run.data.tags) for run in page]
                token = page.token or None
        for schema in (run.tags.get(SCHEMA_TAG) for run in runs if RECORD_TAG in run.tags):
            if schema != str(SCHEMA):
                writer = "harness 0.1.0" if schema is None else f"a harness of schema {schema}"
                raise self._service.error(
                    f"the experiment holds runs of {writer}, which reads them; rename it in MLflow, or name another "
                    "database or server"
                )
        return runs

    def add(self, content: RunContent, tags: Mapping[str, str]) -> str:
        """Write a run with these tags besides its own; its id. It is RUNNING until the last of it is there."""
        start, tags = content.span.start_ms, {**content.tags, **tags}
        with service_errors(self._service):
            run = self._client.create_run(self.experiment_id, start_time=start, tags=tags, run_name=content.name)
            run_id: str = run.info.run_id
            self._log_values(run_id, content)
            for name, table in content.tables.items():
                self._client.log_table(run_id, table.astype(object), name)  # pandas deprecates what MLflow does to text
            for artifact in content.artifacts:
                self._client.log_artifact(run_id, str(artifact.path), artifact.folder or None)
            self._client.set_terminated(run_id, content.status, content.span.end_ms)
        return run_id

    def _log_values(self, run_id: str, content: RunContent) -> None:
        from mlflow.entities import Metric, Param

        params = [Param(name, value) for name, value in content.params.items()]
        metrics = [Metric(point.name, point.value, point.at_ms, point.step) for point in content.points]
        for some_params, some_metrics in batches(params, metrics):
            self._client.log_batch(run_id, params=some_params, metrics=some_metrics)
        if content.inputs:
            self._client.log_inputs(run_id, datasets=[_dataset_input(data) for data in content.inputs])

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        with service_errors(self._service):
            for name, value in tags.items():
                self._client.set_tag(run_id, name, value)

    def describe(self, tags: Mapping[str, str]) -> None:
        """Set the experiment's tags that differ; a note that somebody else wrote stays."""
        with service_errors(self._service):
            there = self._client.get_experiment(self.experiment_id).tags
            for name, value in tags.items():
                own_note = name == NOTE_TAG and not there.get(name, SIGNATURE).startswith(SIGNATURE)
                if there.get(name) != value and not own_note:
                    self._client.set_experiment_tag(self.experiment_id, name, value)

    def remove(self, run_id: str) -> None:
        """Delete a run (MLflow keeps it in its bin until `mlflow gc`)."""
        with service_errors(self._service):
            self._client.delete_run(run_id)


def batches(params: Sequence[P], metrics: Sequence[M]) -> Iterator[tuple[Sequence[P], Sequence[M]]]:
    """As few pairs as MLflow's limits allow: each call costs a dozen queries, however much is in it."""
    while params or metrics:
        some_params = params[:MAX_PARAMS]
        some_metrics = metrics[: MAX_ITEMS - len(some_params)]
        yield some_params, some_metrics
        params, metrics = params[len(some_params) :], metrics[len(some_metrics) :]


def _dataset_input(data: Input) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(data.name, data.digest, source_type="harness", source=data.source, profile=data.profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", data.context)])


@contextmanager
def open_tracker(service: Service, experiment: str) -> Iterator[Tracker]:
    """Connect, create what is missing (database, experiment) and keep MLflow quiet until the end.

    Raises:
        ServiceError: The service does not answer, cannot be written, or is not MLflow's.
    """
    with quiet_mlflow(service):
        with service_errors(service):
            if is_new_database(service):
                create_database(service)
            client = _client(service)
            tracker = Tracker(client, _experiment_id(client, service, experiment), service)
        yield tracker


def _client(service: Service) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=service.uri, registry_uri=service.uri)


def _experiment_id(client: MlflowClient, service: Service, name: str) -> str:
    """The experiment of that name: as it is there, taken out of the bin, or created."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        local = service.scheme in DATABASES
        folder = (artifact_folder(service) / name).as_uri() if local else None
        return str(client.create_experiment(name, artifact_location=folder))
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def check_tracking(tracking_uri: str | None) -> str:
    """One line that says where tracking goes and that it answers; creates nothing.

    Raises:
        ServiceError: As `track` would.
    """
    service = find_service(tracking_uri)
    with quiet_mlflow(service), service_errors(service):
        import mlflow

        if is_new_database(service):
            return f"{service.shown} (created by the first run), MLflow {mlflow.__version__}"
        _client(service).search_experiments(max_results=1)
        return f"{service.shown} answers, MLflow {mlflow.__version__}"


@contextmanager
def only_writer(service: Service, records: Path, wait_seconds: float = WAIT_SECONDS) -> Iterator[Callable[[], None]]:
    """Hold the right to write; yields the heartbeat to call now and then.

    The lock lies beside an SQLite file, among the records for other services. Whoever holds it is waited for.

    Raises:
        ServiceError: Another process goes on writing, or the database's folder cannot be written.
    """
    file = service.database
    lease = Lease(file.with_name(f"{file.name}.lease") if file else records / "tracking.lease")
    with service_errors(service):
        lease.path.parent.mkdir(parents=True, exist_ok=True)
        _claim(lease, service, wait_seconds)
    try:
        yield lease.beat
    finally:
        lease.release()


def _claim(lease: Lease, service: Service, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            lease.claim()
        except LeaseHeldError:
            if time.monotonic() > deadline:
                raise service.error(f"another process is writing there ({lease.path})") from None
            time.sleep(0.2)
        except DiskError as error:
            if service.database is not None:
                raise service.error(str(error).partition(". ")[0]) from None
            return  # records of somebody else that may only be read: tracked without a lock
        else:
            return
