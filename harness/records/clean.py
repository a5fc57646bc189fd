"""Deletes what a finished unit no longer needs: its checkpoint. Records stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.records.files import disk_errors
from harness.records.suite_folder import RunStore


@dataclass(frozen=True)
class Leftover:
    """A file that can go."""

    path: Path
    size_bytes: int


def leftovers(store: RunStore) -> list[Leftover]:
    """Checkpoints of units that ended well, and half-written ones that a kill left beside them.

    A failed unit keeps its checkpoint: `run --retry-failed` goes on from it.
    """
    return [Leftover(path, path.stat().st_size) for path in _paths(store)]


def _paths(store: RunStore) -> Iterator[Path]:
    for folder in store.folders():
        result = folder.result()
        if result is not None and result.status != "failed" and not folder.lease.held():
            name = folder.checkpoint.name
            yield from sorted([*folder.path.glob(name), *folder.path.glob(f".{name}.*")])


def delete(files: Sequence[Leftover]) -> None:
    """Delete them; one that is gone already is no error. Raises `DiskError` where that is not allowed."""
    for file in files:
        with disk_errors(file.path):
            file.path.unlink(missing_ok=True)
