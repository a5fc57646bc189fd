"""One process at a time: a lease that a thread keeps alive while its owner works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.api.errors import UsageError
from harness.records.lease import Lease, LeaseHeldError
from harness.train.heartbeat import Heartbeat
from harness.train.stop import StopFlag


@contextmanager
def alone(lease: Lease, doing: str, stop: StopFlag, patience_seconds: float) -> Iterator[Callable[[], None]]:
    """Hold `lease` while the block runs. Raises `UsageError` while another process does.

    What is given raises `UsageError` if another process took over all the same, say while this one was suspended;
    the thread, which calls it too, then sets `stop`. doing: for messages, "is submitting this suite".
    """
    where = lease.path.parent
    try:
        lease.claim(patience_seconds)
    except LeaseHeldError:
        holder = lease.holder()
        who = f"pid {holder.pid} on {holder.host}" if holder else "another process"
        raise UsageError(f"{where}: {who} {doing}; try again when it has ended") from None

    def still_alone() -> None:
        try:
            lease.beat()
        except LeaseHeldError:
            raise UsageError(f"{where}: another process took over and {doing}; run it again") from None

    try:
        with Heartbeat(still_alone, stop):
            yield still_alone
    finally:
        lease.release()
