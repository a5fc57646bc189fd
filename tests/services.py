"""Real services that tests start for themselves and stop again."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import LIMIT_SECONDS, command_environment, require, wait_until


def require_mlflow() -> None:
    require("mlflow", importlib.util.find_spec("mlflow") is not None, "MLflow is not installed")


def require_ray() -> None:
    """With Optuna, which an adaptive search needs beside it."""
    installed = all(importlib.util.find_spec(name) is not None for name in ("ray", "optuna"))
    require("ray", installed, "Ray Tune or Optuna is not installed")


def require_chromium() -> str:
    """Path of Chromium, which has its driver beside it; skip, or fail where it is required, without them."""
    path = shutil.which("chromium")
    there = path is not None and shutil.which("chromedriver") is not None
    require("chromium", there and importlib.util.find_spec("selenium") is not None, "no chromium, driver or selenium")
    return str(path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path, database: str | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A bare `mlflow server` run in `folder`, as `mlflow ui` would be there: its URI and its process.

    database: what it stands on, where that is not the folder's mlflow.db.
    """
    require_mlflow()
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database] if database else []
    environment = command_environment(
        {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    )
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        uri = f"http://127.0.0.1:{port}"
        wait_until(
            lambda: _answers(uri),
            lambda: f"mlflow server starts\n{log.read_text(errors='replace')[-2000:]}",
            process=process,
        )
        yield uri, process
    finally:
        stop(process)


def _answers(uri: str) -> bool:
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=30):
            return True
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL of Debian's on a free port of 127.0.0.1, with an empty database: its URI. Gone at the end."""
    initdb = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    require("postgres", initdb is not None, "no PostgreSQL server is installed (initdb)")
    require("postgres", importlib.util.find_spec("psycopg2") is not None, "psycopg2 is not installed")
    binaries = Path(str(initdb)).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="harness-postgres-"))
    as_owner: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        shutil.chown(folder, "postgres", "postgres")

    def run(*command: str | Path) -> None:
        subprocess.run([*as_owner, *map(str, command)], cwd=folder, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=LIMIT_SECONDS)  # fmt: skip

    port, control = free_port(), binaries / "pg_ctl"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    try:
        run(binaries / "initdb", "-D", folder / "data", "-A", "trust", "-U", "harness", "--no-sync", "-E", "UTF8")
        run(control, "-D", folder / "data", "-w", "-l", folder / "log", "-o", options, "start")
        try:
            run(binaries / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "harness", "tracking")
            yield f"postgresql+psycopg2://harness:unused@127.0.0.1:{port}/tracking"
        finally:
            run(control, "-D", folder / "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=LIMIT_SECONDS)
