"""Runs units one after the other in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.api.errors import InterruptedRunError
from harness.data.local import local_copy, local_home
from harness.execution.outcome import Outcome
from harness.execution.session import Session
from harness.records.lease import LeaseHeldError
from harness.records.schema import Unit
from harness.train.stop import StopFlag
from harness.train.unit import RunSettings, run_unit


def run_inline(
    session: Session, units: Sequence[Unit], stop: StopFlag, checkpoint_seconds: float, say: Callable[[str], None]
) -> Iterator[Outcome]:
    """Yield an outcome per unit; ends early when asked to stop."""
    settings = RunSettings(checkpoint_seconds=checkpoint_seconds, stop=stop, say=say)
    for unit in units:
        if stop.is_set():
            return
        yield run_one(session, unit, settings)


def run_one(session: Session, unit: Unit, settings: RunSettings) -> Outcome:
    """One unit in this process; errors that the user must act on are raised."""
    folder = session.folder(unit)
    cache = session.cache if folder.done else local_copy(session.cache, local_home(), settings.say)
    try:
        result = run_unit(folder, cache, session.store.selection_path, settings)
    except InterruptedRunError as error:
        return Outcome(unit.id, "interrupted", str(error), error.exit_code)
    except LeaseHeldError as error:
        return Outcome(unit.id, "held", str(error), InterruptedRunError.exit_code)
    if result.failure is not None:
        return Outcome(unit.id, "failed", f"{result.failure.kind}: {result.failure.reason}", 70)
    return Outcome(unit.id, "ok")
