"""Reuses finished runs of another suite: equal ids mean equal settings, data and seeds.

The machines may differ: a budget of device time buys more steps on a faster one.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from pathlib import Path

from harness.api.errors import RecordError
from harness.execution.session import Session
from harness.records.archive import check_run, ended_files
from harness.records.files import write_bytes
from harness.records.lease import LeaseHeldError
from harness.records.reader import RunRecord, SuiteRecords
from harness.records.schema import Run
from harness.records.suite_folder import SuiteFolder

log = logging.getLogger(__name__)


def reuse(session: Session, source: Path) -> list[Run]:
    """Copy the records of pending runs that ended well in another suite's folder, and log how many.

    Unfinished and failed runs are not copied: they are trained here. A run is also not copied where it was begun here,
    since its ledger would be lost, or where another process runs it.

    Args:
        session: the suite whose runs are pending.
        source:  folder of the other suite's records.

    Returns:
        The copied runs.

    Raises:
        UsageError:  there are no records in `source`.
        RecordError: the records of a wanted run are damaged. Nothing of that run is copied.
    """
    other = SuiteRecords.open(source)
    wanted = [run for run in session.pending() if other.run(run.id).ok]
    for run in wanted:
        check_run(other.run(run.id))
    taken = [run for run in wanted if _copy(other, session.store, run)]
    log.info("%s: %d runs taken over", source, len(taken))
    if count := count_elsewhere(session, taken):
        log.warning(
            "%d of them ran on another host, where device time may have bought more steps or fewer than "
            "it does here: compare the steps of entries, or train them again without --reuse",
            count,
        )
    return taken


def count_elsewhere(session: Session, taken: Sequence[Run]) -> int:
    """How many of these runs spent a budget of device time on another or an unknown host."""
    results = (session.folder(run).result() for run in taken if run.budget.device_seconds is not None)
    return sum(result is not None and result.shown.get("host") != socket.gethostname() for result in results)


def _copy(source: SuiteRecords, target: SuiteFolder, run: Run) -> bool:
    """Copy a run, unless it was begun in `target`. Returns whether it was copied."""
    record, copy = source.run(run.id), target.folder(run)
    try:
        with copy.lease.held_for():
            if copy.done or copy.ledger.lines():
                return False
            _copy_environments(source, target, record)
            # a run counts as done once its result exists, so the result comes last
            for path in ended_files(record.folder.path):
                write_bytes(copy.path / path.relative_to(record.folder.path), path.read_bytes())
            return True
    except LeaseHeldError:
        return False


def _copy_environments(source: SuiteRecords, target: SuiteFolder, record: RunRecord) -> None:
    for name in sorted({line.environment for line in record.ledger if line.environment}):
        path, copy = (root / "environments" / f"{name}.json" for root in (source.root, target.root))
        if not path.exists():
            raise RecordError(f"{path} is missing: run {record.id[:10]} cannot be taken over")
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            write_bytes(copy, path.read_bytes())
