"""Every failure a user can cause or meet, each with its own exit code (sysexits.h where it has one).

And help with mistyped names, for their messages.
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar


class HarnessError(Exception):
    """A failure with one clear message: what is wrong, where (file, field) and how to mend it.

    The command line prints the message alone, without a traceback, and exits with `exit_code`.

    Attributes:
        exit_code: Of the process, as sysexits.h numbers it where it can.
    """

    exit_code: ClassVar[int] = 70


class UsageError(HarnessError):
    """A wrong command line, suite file, name or value."""

    exit_code = 64


class DataError(HarnessError):
    """Scans or a cache that cannot be used: absent, truncated, mis-shaped, mislabelled, in the wrong split."""

    exit_code = 65


class ClosedSplitError(DataError):
    """The test split was requested before the checkpoint was final and the selection recorded."""


class ServiceError(HarnessError):
    """A service that was requested by name is missing or does not answer (Ray, Slurm, a tracking server)."""

    exit_code = 69


class RunFailedError(HarnessError):
    """At least one run ended with a failure record."""

    exit_code = 70


class RecordError(HarnessError):
    """A record that this version cannot read: a newer schema, a file that is not one of ours."""

    exit_code = 65


class MachineError(HarnessError):
    """This machine failed a run, and another one may do better: a device that is gone, a process that was killed."""

    exit_code = 71


class DiskError(HarnessError):
    """The run directory cannot be written: full, read-only, not ours."""

    exit_code = 74


class InterruptedRunError(HarnessError):
    """Stopped by a signal after a checkpoint; the same command goes on later."""

    exit_code = 75


class AuditError(HarnessError):
    """The records of a suite break a rule of fairness."""

    exit_code = 76


class MethodCheckError(HarnessError):
    """A method does not keep the contract: a line of `harness check` failed."""

    exit_code = 77


def suggest(name: str, known: Iterable[str]) -> str:
    """Help with a mistyped name: "did you mean 'X'?" where a known name is near, else a list of all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"
