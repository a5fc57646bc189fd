import shutil

import pytest

from tests.services import require_mlflow


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    require_mlflow()
    from harness.tracking.service import create_database, find_service, quiet_mlflow

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    (path.parent / ".mlflow.db.1-journal").touch()  # as a process leaves that is killed here
    service = find_service(f"sqlite:///{path}")
    with quiet_mlflow():
        create_database(service)
    return path


@pytest.fixture
def desk(tmp_path, monkeypatch, empty_database):
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path
