"""Which tracking service is meant, whether it can be used, and how it fails: one message, no traceback, no password.

A database is inspected before MLflow opens it: MLflow retries a broken one for 100 s and writes into a foreign one.
"""

from __future__ import annotations

import difflib
import glob
import logging
import os
import re
import shlex
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.errors import DiskError, HarnessError, ServiceError
from harness.records.lease import Lease, LeaseHeldError
from harness.tracking.redact import reason_of, redact_text, redact_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROCESS_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Set before MLflow is imported, each only where it is not set already."""

PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
CONNECT_SECONDS = 5.0
WAIT_SECONDS = 60.0
"""For another writer to finish."""
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
SCHEMES = (*DATABASES, "http", "https", "databricks")
NOISY_LOGGERS = ("mlflow", "alembic", "urllib3.connectionpool")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """A tracking service.

    uri:      what MLflow is given.
    records:  folder of the suite whose records are tracked, for messages; None where none is.
    database: the file of an SQLite database, None for every other service.
    """

    uri: str
    records: Path | None = None
    database: Path | None = None

    @property
    def scheme(self) -> str:
        """Kind of the service, without a driver: postgresql, http, ..."""
        return self.uri.partition(":")[0].partition("+")[0].lower()

    @property
    def artifacts(self) -> Path | None:
        """Where artifacts of a database go: beside an SQLite file, else here. None for servers."""
        folder = self.database.parent if self.database else Path.cwd()
        return folder / "mlartifacts" if self.scheme in DATABASES else None

    @property
    def shown(self) -> str:
        return redact_uri(self.uri)

    def error(self, reason: str) -> ServiceError:
        if self.records is None:
            return ServiceError(f"tracking to {self.shown} does not work: {reason}")
        return ServiceError(
            f"cannot track to {self.shown}: {reason}. The records are safe; "
            f"run `harness track {shlex.quote(str(self.records))}` later."
        )


def find_service(option: str | None, records: Path | None = None) -> Service:
    """The service of an explicit URI, else of MLFLOW_TRACKING_URI, else ./mlflow.db, the default of `mlflow ui`.

    Raises `ServiceError` for a URI that MLflow cannot track to.
    """
    uri = option or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    service = Service(uri, records)
    if service.scheme != "sqlite":
        _refuse_unknown(service)
        return service
    path = re.sub(r"^sqlite(\+\w+)?:///", "", uri)
    if path == uri or path in {"", ":memory:"} or "?" in path or "%" in path:
        raise service.error("give SQLite a plain file, sqlite:///relative.db or sqlite:////absolute/path.db")
    path = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - stays as it is where there is no such user
    absolute = Path.cwd() / path
    # MLflow reads ? and % in a URI as syntax; below a folder with such a name only the relative form works.
    return Service(f"sqlite:///{path if set('?%') & set(str(absolute)) else absolute}", records, absolute)


def _refuse_unknown(service: Service) -> None:
    plugins = entry_points(group="mlflow.tracking_store").names
    if service.scheme in SCHEMES or service.scheme in plugins:
        return
    if "://" not in service.uri or service.scheme == "file":
        raise service.error(
            "MLflow no longer tracks to plain folders; name a database (sqlite:///mlflow.db) or a server (http://HOST:PORT)"
        )
    near = difflib.get_close_matches(service.scheme, SCHEMES, n=1)
    guess = f"; did you mean {near[0]}://" if near else ""
    raise service.error(f"MLflow knows no {service.scheme}:// (it knows {', '.join(SCHEMES)}){guess}")


@contextmanager
def service_errors(service: Service) -> Iterator[None]:
    """Turn whatever MLflow, its database driver or the network raises into one `ServiceError`.

    No failure of a tracker may stop a run.
    """
    try:
        yield
    except HarnessError:
        raise
    except ImportError as error:
        raise service.error(
            f"{redact_text(str(error), service.uri)}. Install what is missing (`pip install mlflow` for MLflow itself)"
        ) from None
    except Exception as error:  # noqa: BLE001 - see above
        raise service.error(reason_of(error, service.uri)) from None


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Import MLflow with `PROCESS_ENVIRONMENT`; until the end it does not print."""
    for name, value in PROCESS_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401 - sets its loggers up, so it comes before they are silenced

    levels = {logger: logger.level for logger in map(logging.getLogger, NOISY_LOGGERS)}
    for logger in levels:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def check_tracking(tracking_uri: str | None) -> str:
    """One line that says where tracking goes and that it answers. Raises as `track` would."""
    service = find_service(tracking_uri)
    with service_errors(service), quiet_mlflow():
        import mlflow

        if is_new_database(service):
            return f"{service.shown} (created by the first run), MLflow {mlflow.__version__}"
        _client_of(service).search_experiments(max_results=1)
        return f"{service.shown} answers, MLflow {mlflow.__version__}"


def _client_of(service: Service) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=service.uri, registry_uri=service.uri)


@contextmanager
def open_client(service: Service, records: Path) -> Iterator[tuple[MlflowClient, Callable[[], None]]]:
    """MLflow's client as the only writer, of a database that is created if it is missing; and the heartbeat."""
    with service_errors(service), only_writer(service, records) as beat, quiet_mlflow():
        if is_new_database(service):
            create_database(service)
        yield _client_of(service), beat


@contextmanager
def only_writer(service: Service, records: Path) -> Iterator[Callable[[], None]]:
    """Hold the right to write; yields the heartbeat to call now and then.

    The lock lies beside an SQLite file, among the records for other services. Raises `ServiceError` where another
    process goes on writing, or the database's folder cannot be written.
    """
    file = service.database
    lease = Lease(file.with_name(f"{file.name}.lease") if file else records / "tracking.lease")
    lease.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lease.claim(WAIT_SECONDS)
    except LeaseHeldError:
        raise service.error(f"another process is writing there ({lease.path})") from None
    except DiskError as error:
        if file is not None:  # else records of somebody else that may only be read: tracked without a lock
            raise service.error(str(error).partition(". ")[0]) from None
    try:
        yield lease.beat
    finally:
        lease.release()


def is_new_database(service: Service) -> bool:
    """Connect once to a database, change nothing; whether it is still to be made.

    Raises `ServiceError` for another program's or another MLflow's.
    """
    if service.scheme not in DATABASES:
        return False
    if service.database is not None and not service.database.exists():
        return True
    tables, revision = _inspect(service)
    if not tables - {"alembic_version"}:
        return True
    if "experiments" not in tables:
        raise service.error("the database holds tables of another program; name a database of its own for tracking")
    _refuse_revision(service, revision)
    return False


def _inspect(service: Service) -> tuple[set[str], str | None]:
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.pool import NullPool

    url = make_url(service.uri)
    if url.host and service.scheme in PORTS:  # drivers may wait for minutes
        socket.create_connection((url.host, url.port or PORTS[service.scheme]), CONNECT_SECONDS).close()
    with create_engine(url, poolclass=NullPool).connect() as connection:
        tables = set(inspect(connection).get_table_names())
        revision = None
        if "alembic_version" in tables:
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return tables, revision


def _refuse_revision(service: Service, revision: str | None) -> None:
    import mlflow
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if revision in scripts.get_heads():
        return
    if revision in {script.revision for script in scripts.walk_revisions()}:
        raise service.error(
            f"an older MLflow than {mlflow.__version__} made the database and reads it; name another one, "
            f"or copy it for safety and run `mlflow db upgrade {service.shown}`"
        )
    raise service.error(
        f"another MLflow made the database (schema {revision}), newer than the {mlflow.__version__} installed here; "
        "update MLflow or name another database"
    )


def create_database(service: Service) -> None:
    """Create the SQLite file whole; a kill leaves none. Other databases are created by MLflow at first contact."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    if service.database is None or service.artifacts is None:
        return
    for left in service.database.parent.glob(f".{glob.escape(service.database.name)}.[0-9]*"):  # with its journal
        left.unlink(missing_ok=True)
    temporary = service.database.with_name(f".{service.database.name}.{os.getpid()}")
    uri = service.uri.removesuffix(service.database.name) + temporary.name
    try:
        store = SqlAlchemyStore(uri, service.artifacts.as_uri())  # type: ignore[no-untyped-call]
        store.engine.dispose()
        temporary.replace(service.database)
    finally:
        temporary.unlink(missing_ok=True)


def note_older_runs(service: Service) -> None:
    """Say how to look at the database where older runs beside it keep a bare `mlflow ui` away."""
    older = service.database.with_name("mlruns") if service.database else None
    if older is not None and any(older.glob("*/meta.yaml")):
        command = shlex.join(["mlflow", "ui", "--backend-store-uri", service.uri])
        log.info(f"note: {older} is of an older MLflow, and a bare `mlflow ui` refuses to start beside it: {command}")
