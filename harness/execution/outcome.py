"""How the execution of one run ended, and the failure record of a killed run."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.api.errors import HarnessError, InterruptedRunError, MachineError, RunFailedError
from harness.api.strict import now
from harness.execution.memory import NO_MEMORY
from harness.records.lease import LeaseHeldError
from harness.records.ledger import LedgerLine
from harness.records.run_folder import RunFolder
from harness.records.schema import Failure, Result
from harness.train.stop import StopFlag

MAX_STARTS = 2
"""A run that is killed is started once more, from its checkpoint."""
DIED = "died on "
"""Begins the note of an end in the ledger that the driver wrote, for a run that another machine is to try."""

Status = Literal["ok", "failed", "interrupted", "busy", "refused", "killed"]


@dataclass(frozen=True)
class Outcome:
    """The end of one run's execution, seen from the driver.

    ok, failed:  a result was written.
    interrupted: it goes on later.
    busy:        another process runs it.
    refused:     it could not start or write (bad data, a full disk); `exit_code` and `message` say why.
    killed:      its process died without a message; another machine is to try it.
    """

    run: str
    status: Status
    message: str = ""
    exit_code: int = 0


def settle(folder: RunFolder, outcome: Outcome, stop: StopFlag, *, elsewhere: bool = False) -> Outcome:
    """Write the failure record of a run that was killed `MAX_STARTS` times. Other outcomes are returned unchanged.

    elsewhere: a first time this machine is blamed, not the method: the ledger says so, and another machine is to try.

    Four kinds of killed processes get no failure record:
    - The driver was asked to stop. The signal to a whole job also kills processes that have no handler for it yet.
    - The result was already written.
    - The ledger has an end, so the run ended by itself.
    - No exit code says that the run's own process was killed: the worker of Ray died that waited for it.

    A run whose folder was removed, renamed or damaged meanwhile is refused.
    """
    if outcome.status != "killed":
        return outcome
    if stop.is_set():
        return Outcome(outcome.run, "interrupted", stop.reason, InterruptedRunError.exit_code)
    try:
        with folder.lease.held_for():
            return _judge(folder, outcome, elsewhere)
    except LeaseHeldError as error:
        return Outcome(outcome.run, "busy", str(error), InterruptedRunError.exit_code)
    except HarnessError as error:
        status: Status = "interrupted" if isinstance(error, InterruptedRunError) else "refused"
        return Outcome(outcome.run, status, str(error), error.exit_code)


def _judge(folder: RunFolder, outcome: Outcome, elsewhere: bool) -> Outcome:
    """How a run ended whose process died, by its records. The caller holds its lease."""
    result, lines = folder.result(), folder.ledger.lines()
    if result is not None:
        return outcome_of(result)
    died = _deaths(lines)
    if not outcome.exit_code:
        return Outcome(outcome.run, "interrupted", outcome.message, InterruptedRunError.exit_code)
    how = NO_MEMORY if outcome.message == NO_MEMORY else f"signal {outcome.exit_code}"
    if lines and lines[-1].kind == "end" and lines[-1].note not in died:
        message = f"its process died ({how}); the last that it wrote: {lines[-1].note}"  # perhaps an earlier one did
        return Outcome(outcome.run, "interrupted", message, InterruptedRunError.exit_code)
    if elsewhere and not died:
        note = f"{DIED}{os.environ.get('SLURMD_NODENAME') or socket.gethostname()} ({how})"
        folder.ledger.append(_end(lines, note))
        message = f"its process {note}; another node is to try it"
        return replace(outcome, message=message, exit_code=MachineError.exit_code)
    before = "".join(f", after it {note}" for note in died)
    folder.ledger.append(_end(lines, "failed: killed"))
    result = Result(
        run=folder.id,
        status="failed",
        failure=Failure(kind="killed", reason=f"its process died {MAX_STARTS} times ({how}){before}"),
        environment=lines[-1].environment if lines else "",
        spent=folder.ledger.spent(),
        finished_at=now(),
    )
    folder.write_result(result)
    return outcome_of(result)


def _deaths(lines: Sequence[LedgerLine]) -> list[str]:
    """Notes of the deaths since the run was last retried after a failure, if it was."""
    ends = [line.note or "" for line in lines if line.kind == "end"]
    failed = max((place for place, note in enumerate(ends) if note.startswith("failed")), default=-1)
    return [note for note in ends[failed + 1 :] if note.startswith(DIED)]


def _end(lines: Sequence[LedgerLine], note: str) -> LedgerLine:
    """The end of the attempt that died, which spent what its last line says."""
    if not lines:  # it died before it began
        return LedgerLine(kind="end", attempt=0, at=now(), environment="", note=note)
    return lines[-1].model_copy(update={"kind": "end", "at": now(), "process": None, "note": note})


def outcome_of(result: Result) -> Outcome:
    if result.failure is None:
        return Outcome(result.run, "ok")
    message = f"{result.failure.kind}: {result.failure.reason}"
    return Outcome(result.run, "failed", message, RunFailedError.exit_code)
