"""Reads every record of a suite, and says which are damaged, missing, of another version or in a wrong place."""

import zipfile
from collections.abc import Callable, Iterator
from functools import partial

from harness.api.errors import DiskError, RecordError
from harness.records.checksums import refuse_damaged_zip
from harness.records.files import is_there, read_errors, refuse_other_than_file
from harness.records.reader import RunRecord, SuiteRecords

LEFT_OUT = ("history", "predictions", "arrays", "figures", "weights")
"""Beginnings of the names of files that a reduced export leaves out."""


def find_flaws(suite: SuiteRecords, *, unfinished: bool = True) -> Iterator[str]:
    """Read all records of a suite, and give a line for each flaw, with the path.

    unfinished: whether to check what unfinished runs hold beside run.json, too.
    """
    yield from _flaws(_suite_checks(suite))
    for path in sorted((suite.root / "runs").glob("*")):
        if not is_there(path / "run.json"):
            yield f"{path}: has no run.json"
    for folder in suite.store.folders():  # the suite's own records would keep all that was read
        yield from find_run_flaws(RunRecord(folder, suite), unfinished=unfinished)


def find_run_flaws(run: RunRecord, *, unfinished: bool = True) -> Iterator[str]:
    """The same for one run."""
    flaws = list(_flaws([lambda: run.run, lambda: run.result]))
    yield from flaws
    if not flaws and (unfinished or run.result is not None):
        yield from _flaws(_run_checks(run))


def _flaws(checks: list[Callable[[], object]]) -> Iterator[str]:
    for check in checks:
        try:
            check()
        except (RecordError, DiskError) as error:
            yield str(error)


def _suite_checks(suite: SuiteRecords) -> list[Callable[[], object]]:
    store = suite.store
    return [
        lambda: suite.selection,
        lambda: suite.trials,
        lambda: suite.reconciliation,
        *(partial(store.suite_text, path.stem) for path in sorted(suite.root.glob("suites/*.yaml"))),
        store.calibrations,
        *(partial(suite.environment, path.stem, path) for path in sorted(suite.root.glob("environments/*.json"))),
    ]


def _run_checks(run: RunRecord) -> list[Callable[[], object]]:
    folder = run.folder
    checks: list[Callable[[], object]] = [
        lambda: run.ledger,
        lambda: run.environment,
        lambda: run.validations,
        lambda: run.final_sha256,
        folder.history,
        folder.arrays,
        folder.figures,
        folder.predictions,
        lambda: is_there(folder.weights) and folder.content(folder.weights.name),
    ]
    if run.result is None:
        return [*checks, partial(_check_checkpoint, run)]
    named = [name for name in run.result.files if not name.startswith(LEFT_OUT)]
    checks += [partial(folder.content, name) for name in named]
    return [*checks, lambda: run.cases_table] if run.ok and run.run.role == "final" else checks


def _check_checkpoint(run: RunRecord) -> None:
    path = run.folder.checkpoint
    try:
        if is_there(path):
            with read_errors(path):
                refuse_other_than_file(path)
                refuse_damaged_zip(path)
    except zipfile.BadZipFile as error:
        raise RecordError(f"{path}: damaged ({error}); the run starts again without it") from None
