"""Runs that an older MLflow left beside the database."""

import logging
import shlex

from harness.tracking.service import Service

log = logging.getLogger(__name__)


def note_older_runs(service: Service) -> None:
    """Say how to look at the database where runs of an older MLflow beside it keep a bare `mlflow ui` away."""
    older = service.database.with_name("mlruns") if service.database else None
    if older is not None and any(older.glob("*/meta.yaml")):
        command = shlex.join(["mlflow", "ui", "--backend-store-uri", service.uri])
        log.info(f"note: {older} is of an older MLflow, and a bare `mlflow ui` refuses to start beside it: {command}")
