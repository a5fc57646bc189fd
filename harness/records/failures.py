"""Why runs of a suite failed."""

from dataclasses import dataclass

from harness.records.files import is_there, read_content
from harness.records.reader import RunRecord, SuiteRecords

LAST_LINES = 20
"""Of the output of a process that was killed, which left no traceback."""


@dataclass(frozen=True)
class Failed:
    """Runs that failed alike.

    runs:      their names, or the beginnings of their ids.
    traceback: empty where the records were imported without one.
    """

    runs: tuple[str, ...]
    kind: str
    reason: str
    traceback: str


def failures(records: SuiteRecords) -> list[Failed]:
    """All runs on record that failed, by name; those of one reason and one traceback together."""
    trials = () if records.trials is None else records.trials.trials
    names = {trial.run: str(trial) for trial in trials}
    names |= {entry.run: str(entry.planned_run) for entry, _ in reversed(records.selected)}
    alike: dict[tuple[str, str, str], list[str]] = {}
    for run in records.runs:
        if run.result is not None and run.result.failure is not None:
            failure = run.result.failure
            alike.setdefault((failure.kind, failure.reason, _traceback(run, failure.kind)), []).append(
                names.get(run.id, run.id[:10])
            )
    return sorted((Failed(tuple(sorted(runs)), *what) for what, runs in alike.items()), key=lambda each: each.runs)


def _traceback(run: RunRecord, kind: str) -> str:
    path = run.folder.log if kind == "killed" else run.folder.path / "error.txt"
    if not is_there(path):
        return ""
    lines = read_content(path).decode(errors="replace").splitlines()
    return "\n".join(lines[-LAST_LINES:] if kind == "killed" else lines)
