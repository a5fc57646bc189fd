"""Deletes the checkpoints of finished runs. Their records stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.records.files import disk_errors
from harness.records.reader import SuiteRecords


@dataclass(frozen=True)
class Leftover:
    """A file that can be deleted."""

    path: Path
    size_bytes: int


def leftovers(suite: SuiteRecords) -> list[Leftover]:
    """Checkpoints of runs that ended well, and half-written ones that a kill left beside them.

    A failed run keeps its checkpoint: `run --retry-failed` goes on from it.
    """
    paths: list[Path] = []
    for run in suite.runs:
        if run.result is not None and run.result.status != "failed" and not run.folder.lease.held():
            name = run.folder.checkpoint.name
            paths += sorted([*run.folder.path.glob(name), *run.folder.path.glob(f".{name}.*")])
    return [Leftover(path, path.stat().st_size) for path in paths]


def delete(files: Sequence[Leftover]) -> None:
    """Delete them. A file that is gone already is no error. Raises `DiskError` where that is not allowed."""
    for file in files:
        with disk_errors(file.path):
            file.path.unlink(missing_ok=True)
