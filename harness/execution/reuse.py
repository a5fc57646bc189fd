"""Takes over finished units that another suite has trained: equal ids mean equal settings, data and seeds.

They do not mean equal machines: a budget of device time buys more steps on a faster one.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from harness.api.errors import RecordError
from harness.execution.session import Session
from harness.records.archive import ended_files
from harness.records.archive_import import check_unit
from harness.records.files import write_bytes
from harness.records.lease import LeaseHeldError
from harness.records.run_folder import UnitFolder
from harness.records.schema import Unit
from harness.records.suite_folder import RunStore


def reuse(session: Session, source: Path) -> list[Unit]:
    """Copy the records of pending units that ended well in the run directory `source`; which ones.

    Failures are not taken over, nor checkpoints: what is not finished is trained here. Nor is what was begun here,
    whose ledger would be lost, or what another process holds. Raises `UsageError` if there are no records in `source`,
    `RecordError` if one of those wanted is damaged (nothing of that unit is copied then).
    """
    other = RunStore.open(source)
    wanted = [unit for unit in session.pending() if _ended_well(other.folder(unit))]
    for unit in wanted:
        check_unit(other.folder(unit))
    return [unit for unit in wanted if _copy(other, session.store, unit)]


def elsewhere(session: Session, taken: Sequence[Unit]) -> int:
    """How many of these units spent a budget of device time on another host, or on one that their records hide."""
    results = (session.folder(unit).result() for unit in taken if unit.budget.device_seconds is not None)
    return sum(result is not None and result.shown.get("host") != socket.gethostname() for result in results)


def _ended_well(folder: UnitFolder) -> bool:
    result = folder.result()
    return result is not None and result.status == "ok"


def _copy(source: RunStore, target: RunStore, unit: Unit) -> bool:
    """Copy a unit, if nobody has begun it here; whether it was."""
    here, there = target.folder(unit), source.folder(unit)
    lease = here.lease
    try:
        lease.claim()
    except LeaseHeldError:
        return False
    try:
        if here.done or here.ledger.lines():
            return False
        _copy_environments(source, target, there)
        # a unit counts as done once its result is there, so the result comes last
        for path in ended_files(there.path):
            write_bytes(here.path / path.relative_to(there.path), path.read_bytes())
        return True
    finally:
        lease.release()


def _copy_environments(source: RunStore, target: RunStore, folder: UnitFolder) -> None:
    for name in _environments(folder):
        path, copy = (store.root / "environments" / f"{name}.json" for store in (source, target))
        if not path.exists():
            raise RecordError(f"{path} is missing: unit {folder.id[:10]} cannot be taken over")
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            write_bytes(copy, path.read_bytes())


def _environments(folder: UnitFolder) -> Sequence[str]:
    return sorted({line.environment for line in folder.ledger.lines() if line.environment})
