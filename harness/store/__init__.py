"""Records on disk, the source of truth: what is done, what is left, who runs what."""

from harness.store.folder import UnitFolder
from harness.store.lease import Lease, LeaseHeldError
from harness.store.run import RunStore

__all__ = ["Lease", "LeaseHeldError", "RunStore", "UnitFolder"]
