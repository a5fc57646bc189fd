"""Which tracking service is meant, and how it fails: one message, no traceback, no password."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from harness.api.errors import HarnessError, ServiceError

PROCESS_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Set before MLflow is imported, each only where it is not set already."""

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
SCHEMES = (*DATABASES, "http", "https", "databricks")
NOISY_LOGGERS = ("mlflow", "alembic", "urllib3.connectionpool")


@dataclass(frozen=True)
class Service:
    """A tracking service.

    uri:      what MLflow is given.
    suite:    the suite whose records are tracked, for messages; empty where none is.
    database: the file of an SQLite database, None for every other service.
    """

    uri: str
    suite: str = ""
    database: Path | None = None

    @property
    def scheme(self) -> str:
        """Kind of the service, without a driver: postgresql, http, ..."""
        return self.uri.partition(":")[0].partition("+")[0].lower()

    @property
    def shown(self) -> str:
        """The URI without its password."""
        return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", self.uri)

    def error(self, reason: str) -> ServiceError:
        """What to raise when it cannot be used."""
        if not self.suite:
            return ServiceError(f"tracking to {self.shown} does not work: {reason}")
        return ServiceError(
            f"cannot track to {self.shown}: {reason}. The records are safe; "
            f"run `harness track runs/{self.suite}` later."
        )


def find_service(option: str | None, suite: str = "") -> Service:
    """The service of an explicit URI, else of MLFLOW_TRACKING_URI, else ./mlflow.db, the default of `mlflow ui`.

    Raises:
        ServiceError: A URI that MLflow cannot track to.
    """
    uri = option or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    service = Service(uri, suite)
    if service.scheme != "sqlite":
        _refuse_unknown(service)
        return service
    path = re.sub(r"^sqlite(\+\w+)?:///", "", uri)
    if path == uri or path in {"", ":memory:"} or "?" in path or "%" in path:
        raise service.error("give SQLite a plain file, sqlite:///relative.db or sqlite:////absolute/path.db")
    absolute = Path.cwd() / path
    # MLflow reads ? and % in a URI as syntax; below a folder with such a name only the relative form works.
    return Service(f"sqlite:///{path if set('?%') & set(str(absolute)) else absolute}", suite, absolute)


def _refuse_unknown(service: Service) -> None:
    plugins = entry_points(group="mlflow.tracking_store").names
    if service.scheme in SCHEMES or service.scheme in plugins:
        return
    if "://" not in service.uri or service.scheme == "file":
        if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in {"true", "1"}:
            return
        raise service.error(
            "MLflow no longer tracks to plain folders; name a database (sqlite:///mlflow.db) or a server (http://HOST:PORT)"
        )
    near = difflib.get_close_matches(service.scheme, SCHEMES, n=1)
    guess = f"; did you mean {near[0]}://" if near else ""
    raise service.error(f"MLflow knows no {service.scheme}:// (it knows {', '.join(SCHEMES)}){guess}")


@contextmanager
def service_errors(service: Service) -> Iterator[None]:
    """Turn whatever MLflow, its database driver or the network raises into one `ServiceError`.

    All exceptions are caught on purpose, and only around calls into MLflow: no failure of a tracker may stop a run.
    """
    try:
        yield
    except HarnessError:
        raise
    except ImportError as error:
        raise service.error(f"{error}. Install what is missing (`pip install mlflow` for MLflow itself)") from None
    except Exception as error:  # noqa: BLE001 - see above
        raise service.error(_reason(error, service)) from None


def _reason(error: Exception, service: Service) -> str:
    """The heart of an error message on one line, without the password."""
    text = " ".join(str(error).split()) or type(error).__name__
    plain = re.search(r"\[Errno -?\d+\] ([^'\")(]+)", text)
    if plain and service.scheme in {"http", "https"}:
        text = f"{plain.group(1).strip()}, no MLflow server answers there"
    elif len(text) > 400:
        text = text[:400] + " ..."
    secret = re.search(r"(?<=://)[^/@:]*:([^/@]*)@", service.uri)
    return (text.replace(secret.group(1), "***") if secret and secret.group(1) else text).rstrip(".")


@contextmanager
def quiet_mlflow(service: Service) -> Iterator[None]:
    """Import MLflow with `PROCESS_ENVIRONMENT`; until the end neither it, its migrations nor HTTP retries print.

    All that they have to say comes as an exception.
    """
    for name, value in PROCESS_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with service_errors(service):
        import mlflow  # noqa: F401 - sets its loggers up, so it comes before they are silenced
    loggers = [logging.getLogger(name) for name in NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
