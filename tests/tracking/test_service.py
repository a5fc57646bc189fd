import hashlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from harness.api.errors import ServiceError
from harness.records.suite_folder import SuiteFolder
from harness.tracking.redact import redact_text
from harness.tracking.service import Service, find_service
from tests.services import free_port, require_mlflow
from tests.support import LIMIT_SECONDS, command_environment
from tests.tracking.view import MLFLOW_RUNS, small_suite, track


def failure(store, uri):
    began = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        track(store, uri)
    assert time.monotonic() - began < LIMIT_SECONDS / 4, "MLflow's own patience is far longer"
    message = str(caught.value)
    assert "The records are safe" in message
    assert f"harness track {store.root}`" in message
    assert "\n" not in message
    assert not list(store.root.glob("*.lease"))
    return message


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("htpp://127.0.0.1:5000", "did you mean http://"),
        ("postgres://u:secret@db/x", "did you mean postgresql://"),
        ("file:" + "///mlruns", "no longer tracks to plain folders"),
        ("sqlite:///:memory:", "plain file"),
    ],
)
def test_a_uri_that_cannot_work(tmp_path, uri, part):
    message = failure(small_suite(tmp_path), uri)
    assert part in message
    assert "secret" not in message


def test_where_tracking_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_service(None).uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert find_service("sqlite:///sub/x.db").database == tmp_path / "sub" / "x.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere:5000")
    assert find_service(None).uri == "http://somewhere:5000"
    assert find_service("sqlite:////a/b.db").database == Path("/a/b.db")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql+psycopg2://ann:p4ss@db:5432/x", "postgresql+psycopg2://***@db:5432/x"),
        ("https://t0ken@host/path", "https://***@host/path"),
        ("http://ann:to/p4ss@host:1/", "http://***@host:1/"),
        ("http://ann:to#p4ss@host/x", "http://***@host/x"),
        ("http://host:1/?token=p4ss&user=me@p4ss", "http://host:1/?token=***&user=***"),
        ("http://host/#p4ss", "http://host/#***"),
        ("ann:p4ss@host:5000", "***@host:5000"),
        ("sqlite:///a@b.db", "sqlite:///a@b.db"),
        ("sqlite:///a.db?password=p4ss", "sqlite:///a.db?password=***"),
    ],
)
def test_no_secret_in_what_is_shown(uri, shown):
    assert Service(uri).shown == shown
    said = redact_text(f"{uri} refused {'(p4ss)' if '/p4ss' in uri or ':p4ss' in uri else ''}", uri)
    assert "p4ss" not in said
    assert "refused" in said


def test_a_mask_eats_no_other_letters():
    said = "server refused: no answer of se at se:1 (Errno 1), %2Fse!"
    assert redact_text(said, "http://s:se@h?ttl=1") == "server refused: no answer of *** at ***:1 (Errno 1), %2Fse!"
    assert redact_text("xlongsecret1%2Fy", "http://ann:longsecret1/@h") == "x***%2Fy"


def test_a_dead_server(tmp_path):
    require_mlflow()
    message = failure(small_suite(tmp_path), f"http://ann:p4ss@127.0.0.1:{free_port()}")
    assert "Connection refused" in message
    assert "p4ss" not in message


def test_a_server_that_never_answers_is_given_up_after_the_users_own_timeout(tmp_path, monkeypatch):
    require_mlflow()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "timed out" in failure(small_suite(tmp_path), f"http://127.0.0.1:{silent.getsockname()[1]}")


def make_text(path, _):
    path.write_text("my thesis, not a database\n" * 100)


def make_foreign(path, _):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE patients (name TEXT)")


def make_older(path, empty):
    _with_revision(path, empty, "451aebb31d03")  # the first revision MLflow ever had


def _with_revision(path, empty, revision):
    shutil.copy(empty, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))


@pytest.mark.parametrize(
    ("make", "part"),
    [(make_text, "not a database"), (make_foreign, "tables of another program"), (make_older, "mlflow db upgrade")],
)
def test_a_database_that_is_not_ours_to_use_stays_as_it_is(tmp_path, empty_database, make, part):
    path = tmp_path / "other.db"
    make(path, empty_database)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    assert part in failure(small_suite(tmp_path), f"sqlite:///{path}")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


FIRST_CONTACT = """
import sys
from pathlib import Path
from harness.records.reader import SuiteRecords
from harness.tracking import track
print(track(SuiteRecords.open(Path(sys.argv[1]))).summary)
"""


def test_two_drivers_at_a_fresh_database(tmp_path):
    require_mlflow()
    stores = [small_suite(tmp_path / "a"), small_suite(tmp_path / "b")]
    stores[1] = SuiteFolder.open(stores[1].root.rename(stores[1].root.with_name("another")))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_CONTACT, str(store.root)],
            cwd=tmp_path, env=command_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for store in stores
    ]  # fmt: skip
    for process in processes:
        out, err = process.communicate(timeout=LIMIT_SECONDS)
        assert (process.returncode, err) == (0, "")
        assert out.startswith("tracked 6 runs")
        assert out.count("\n") == 1
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        counts = connection.execute("SELECT count(*) FROM runs GROUP BY experiment_id").fetchall()
    assert counts == [(MLFLOW_RUNS,), (MLFLOW_RUNS,)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "mlartifacts", "mlflow.db"]
