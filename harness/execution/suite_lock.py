"""A lock for one process at a time: a lease that a thread keeps alive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.api.errors import UsageError
from harness.records.lease import Lease, LeaseHeldError
from harness.train.stop import Heartbeat, StopFlag


@contextmanager
def lock_suite(lease: Lease, doing: str, stop: StopFlag, patience_seconds: float) -> Iterator[Callable[[], None]]:
    """Hold a lease while the block runs.

    Args:
        lease:            the lease.
        doing:            what its holder does, for messages: "is submitting this suite".
        stop:             set by a thread as soon as another process took over, say while this one was suspended.
        patience_seconds: wait so long for another holder.

    Yields:
        A function that raises `UsageError` if another process took over.

    Raises:
        UsageError: another process holds the lease.
    """
    folder = lease.path.parent
    try:
        lease.claim(patience_seconds)
    except LeaseHeldError:
        holder = lease.holder()
        who = f"pid {holder.pid} on {holder.host}" if holder else "another process"
        raise UsageError(f"{folder}: {who} {doing}; try again when it has ended") from None

    def check_lock() -> None:
        try:
            lease.beat()
        except LeaseHeldError:
            raise UsageError(f"{folder}: another process took over and {doing}; run it again") from None

    try:
        with Heartbeat(check_lock, stop):
            yield check_lock
    finally:
        lease.release()
