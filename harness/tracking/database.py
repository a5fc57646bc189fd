"""Inspects a database before MLflow opens it: MLflow retries a broken one for 100 s and writes into a foreign one."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

from harness.tracking.service import DATABASES, Service

log = logging.getLogger(__name__)

PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
CONNECT_SECONDS = 5.0


def artifact_folder(service: Service) -> Path:
    """Where artifacts of a database go: mlartifacts/ beside an SQLite file, in the working directory otherwise."""
    return (service.database.parent if service.database else Path.cwd()) / "mlartifacts"


def is_new_database(service: Service) -> bool:
    """Connect once to a database, change nothing; whether it is still to be made.

    Raises:
        ServiceError: Another program's database, or one of another MLflow version.
        Exception: Whatever the driver raises for a database that does not answer.
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
    """Names of the tables, and the revision of their schema."""
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
    """Create the SQLite file whole: another process sees no database or a finished one, and a kill leaves none.

    Called under the writer's lock. Other databases are created by MLflow at first contact.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    if service.database is None:
        return
    temporary = service.database.with_name(f".{service.database.name}.{os.getpid()}")
    uri = service.uri.removesuffix(service.database.name) + temporary.name
    try:
        store = SqlAlchemyStore(uri, artifact_folder(service).as_uri())  # type: ignore[no-untyped-call]
        store.engine.dispose()
        temporary.replace(service.database)
    finally:
        temporary.unlink(missing_ok=True)


def warn_of_mlruns(service: Service) -> None:
    """Tell a user whose bare `mlflow ui` would open ./mlruns instead of ./mlflow.db."""
    mlruns = Path("mlruns")  # the rule of MLflow 3: a numbered folder with a meta.yaml in it wins
    hidden = any(path.parent.name.isdigit() for path in mlruns.glob("*/meta.yaml"))
    if hidden and service.database == Path.cwd() / "mlflow.db":
        log.warning(
            "./mlruns holds experiments of an older MLflow, so a bare `mlflow ui` shows those alone; "
            "to see these runs: mlflow ui --backend-store-uri %s",
            service.shown,
        )
