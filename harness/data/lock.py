"""One process of a machine at a time."""

import errno
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_SECONDS = 600.0

POLL_SECONDS = 0.1


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Make `path` while no other process of this machine does; the system lets go of the lock when its owner dies.

    Between machines it may hold nobody back: what is made must still appear by a rename. Raises `OSError`, a
    `TimeoutError` among them.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    with path.with_name(f".{path.name}.lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    late = f"another process has been making it for {PATIENCE_SECONDS:.0f} s"
                    raise TimeoutError(errno.ETIMEDOUT, late) from None
                time.sleep(POLL_SECONDS)
        yield
