"""Trains runs in this process, one after the other."""

from collections.abc import Iterator, Sequence

from harness.api.errors import InterruptedRunError
from harness.data.local import local_copy, local_home
from harness.execution.outcome import Outcome, outcome_of
from harness.execution.session import Session
from harness.records.lease import LeaseHeldError
from harness.records.schema import Run
from harness.train.run import RunSettings, train_run


def run_inline(session: Session, runs: Sequence[Run], settings: RunSettings) -> Iterator[Outcome]:
    """Yield the outcome of each run as it ends; ends early when asked to stop. What the user must act on is raised."""
    for run in runs:
        if settings.stop.is_set():
            return
        folder = session.folder(run)
        cache = session.cache if folder.done else local_copy(session.cache, local_home())
        try:
            outcome = outcome_of(train_run(folder, cache, session.store.selection_path, settings))
        except InterruptedRunError as error:
            outcome = Outcome(run.id, "interrupted", str(error), error.exit_code)
        except LeaseHeldError as error:
            outcome = Outcome(run.id, "busy", str(error), InterruptedRunError.exit_code)
        yield outcome
