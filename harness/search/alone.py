"""One driver at a time leads an adaptive search: two would both spend the budget of every row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.spec.errors import InterruptedRunError, UsageError
from harness.store import Lease, LeaseHeldError, RunStore
from harness.train import StopFlag
from harness.train.heart import Heart

PATIENCE_SECONDS = 15.0
"""For a driver that is just ending."""


@contextmanager
def searching_alone(store: RunStore, stop: StopFlag, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the search of a run directory. Raises `UsageError` while another driver does.

    Where another host took over, since this process was silent for minutes, `stop` is set.
    """
    lease = Lease(store.root / "search.lease")
    try:
        lease.claim(patience_seconds)
    except LeaseHeldError:
        holder = lease.holder()
        who = f"pid {holder.pid} on {holder.host}" if holder else "another process"
        raise UsageError(f"{store.root}: {who} leads this adaptive search; wait for it or stop it") from None

    def beat() -> None:
        try:
            lease.beat()
        except LeaseHeldError:
            raise InterruptedRunError(f"{store.root}: another process took over the search") from None

    try:
        with Heart(beat, stop):
            yield
    finally:
        lease.release()
