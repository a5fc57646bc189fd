"""What several tests share: where things are, services that may be absent, and the real command line."""

import io
import logging
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.records.reader import SuiteRecords
from harness.records.run_folder import RunFolder
from harness.records.schema import Environment
from harness.records.suite_folder import SuiteFolder

REPO = Path(__file__).resolve().parents[1]
SHARED_DATA = REPO.parent / "shared" / "data"
MACHINE_CACHE = Path(tempfile.gettempdir()) / f"harness-tests-{os.getuid()}"
"""Outlives a session: the unpacked scans. Everything in it can be deleted at any time."""

LIMIT_SECONDS = 600.0
"""Wall seconds until a test gives up on what must happen. Far more than it takes: others may load the machine."""
POLL_SECONDS = 0.05


def required() -> frozenset[str]:
    """Services that must not be absent: the names in HARNESS_REQUIRE."""
    return frozenset(name.strip() for name in os.environ.get("HARNESS_REQUIRE", "").split(",") if name.strip())


def require(name: str, available: bool, reason: str) -> None:
    """Go on if `available`; otherwise skip the test with the reason, or fail it where HARNESS_REQUIRE names it."""
    if available:
        return
    if name in required():
        pytest.fail(f"{name} is required here (HARNESS_REQUIRE) and absent: {reason}", pytrace=False)
    pytest.skip(f"{name}: {reason}")


def command_environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment with the checkout importable from any folder and `changes` made; None removes."""
    search_path = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH", "")]))
    merged: dict[str, str | None] = {**os.environ, "PYTHONPATH": search_path, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


def run_process(
    *command: str | Path,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    encoding: str | None = None,
    code: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own.

    env changes this process's environment (None removes a variable); encoding is of what it prints, None for this
    process's own; code: with which it must end, and without a traceback.
    """
    done = subprocess.run(
        list(map(str, command)), env=command_environment(env), cwd=cwd, timeout=LIMIT_SECONDS,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding=encoding, check=False,
    )  # fmt: skip
    return _ended(done, code)


def run_python(*args: str | Path, **how: Any) -> subprocess.CompletedProcess[str]:
    return run_process(sys.executable, *args, **how)


def run_cli(*args: str | Path, code: int | None = 0, **how: Any) -> subprocess.CompletedProcess[str]:
    """The real `python -m harness ARGS`, as `run_process` does it; with any exit code where `code` is None."""
    return run_python("-m", "harness", *args, code=code, **how)


def call_cli(
    *args: str | Path, env: Mapping[str, str | None] | None = None, cwd: Path | None = None, code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """Like `run_cli`, in this process: without the second that a fresh one takes to import. Not for `PYTHON...`."""
    from harness.cli import main

    command, logger = [str(part) for part in args], logging.getLogger("harness")
    before = logger.handlers, logger.level, logger.propagate
    out, err, left_with = io.StringIO(), io.StringIO(), None
    with pytest.MonkeyPatch.context() as patch, chdir(cwd or "."), redirect_stdout(out), redirect_stderr(err):
        for name, value in (env or {}).items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        try:
            main(command)
        except SystemExit as left:
            left_with = int(str(left.code))
        finally:
            logger.handlers, logger.propagate = before[0], before[2]
            logger.setLevel(before[1])  # which also clears what loggers remember of levels
    assert left_with is not None, "the command line leaves with a code"
    return _ended(subprocess.CompletedProcess(command, left_with, out.getvalue(), err.getvalue()), code)


def _ended(done: subprocess.CompletedProcess[str], code: int | None) -> subprocess.CompletedProcess[str]:
    if code is not None:
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    return done


def wait_until(
    condition: Callable[[], object],
    what: str | Callable[[], str],
    *,
    process: subprocess.Popen[Any] | None = None,
    limit_seconds: float = LIMIT_SECONDS,
) -> None:
    """Poll until `condition` holds. process: must not end before; what: for the message of a failure."""
    deadline = time.monotonic() + limit_seconds
    while not condition():
        ended = process is not None and process.poll() is not None
        late = time.monotonic() > deadline
        if (ended or late) and not condition():
            text = what if isinstance(what, str) else what()
            why = f"not within {limit_seconds:g} s" if late else "the process ended before"
            pytest.fail(f"{text}: {why}")
        time.sleep(POLL_SECONDS)


def stat_of(pid: int | str) -> list[str]:
    """State, parent, ... of a process."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


@contextmanager
def peak_below(most_bytes: int) -> Iterator[None]:
    """Python must allocate less than that inside."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()


def flip_bit(path: Path, at: int, bit: int = 4) -> None:
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1 << bit
    path.write_bytes(content)


def cases_of(folder: RunFolder) -> pd.DataFrame:
    return pd.read_parquet(folder.path / "cases.parquet")


def environment_of(folder: RunFolder) -> Environment | None:
    return SuiteRecords(SuiteFolder(folder.path.parent.parent)).run(folder.id).environment


def selected_of(store: SuiteFolder) -> list[RunFolder]:
    """The runs of the current selection in its order, each once. Some may have no record yet."""
    ids = dict.fromkeys(entry.run for entry in store.selection().entries)
    return [store.by_id(run) for run in ids]
