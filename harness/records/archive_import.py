"""Takes in records that somebody exported, all of them or none."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.api.errors import RecordError
from harness.records.archive import read_archive
from harness.records.files import disk_errors, write_bytes
from harness.records.reader import RunRecord, SuiteRecords
from harness.records.suite_folder import SuiteFolder

FIRST_WRITTEN_WINS = ("suites", "environments", "reconciliation.json")
"""Suites and environments are named by a hash of what counts in them: comments of a suite, host and commit of an
environment may differ. A reconciliation may have been made more than once."""

NAMED_CONFLICTS = 5


@dataclass(frozen=True)
class Imported:
    """What one import did."""

    store: SuiteFolder
    added: int
    kept: int


def import_records(file: Path, runs: Path) -> Imported:
    """Add the records of an export to RUNS/<suite>/; files that are there already and equal are kept.

    Raises:
        RecordError: not an export, damaged, of a newer schema, or different from what is on record here; nothing is
            written then.
        DiskError: the directory cannot be written or belongs to another program.
    """
    suite, records = read_archive(file)
    root = runs / suite
    SuiteFolder.refuse_foreign(root)
    _check(file, records)
    _refuse_conflicts(file, root, records)
    store = SuiteFolder.create(root)
    new = [path for path in records if not (root / path).exists()]
    # a run counts as done once its result is there, so results come last
    for path in sorted(new, key=lambda path: (path.name == "result.json", path)):
        write_bytes(root / path, records[path])
    return Imported(store, added=len(new), kept=len(records) - len(new))


def _check(file: Path, records: Mapping[PurePosixPath, bytes]) -> None:
    """Read every record as the store does, in a folder aside; a bad one is named by its path in the archive."""
    with tempfile.TemporaryDirectory(prefix="harness-import-") as name:
        aside = Path(name)
        for path, content in records.items():
            with disk_errors(aside / path):
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                (aside / path).write_bytes(content)
        try:
            check_records(SuiteRecords(SuiteFolder(aside)))
        except RecordError as error:
            message = str(error).replace(f"{aside}/", "")
            raise RecordError(f"{file}: {message}; nothing was imported") from None


def check_records(suite: SuiteRecords) -> None:
    """Read all there is. Raises `RecordError` for a record that is damaged, newer, or not where it belongs."""
    _ = suite.selection, suite.trials, suite.reconciliation  # each is parsed when it is asked for
    for path in (suite.root / "environments").glob("*.json"):
        if suite.environment(path.stem, path).fingerprint != path.stem:
            raise RecordError(f"{path}: is not the environment that its name says")
    for path in (suite.root / "runs").glob("*"):
        if not (path / "run.json").exists():
            raise RecordError(f"{path}: has no run.json")
    for run in suite.runs:
        check_run(run)


def check_run(run: RunRecord) -> None:
    """Read all that a run left. Raises `RecordError` for a record that is damaged, missing or another run's."""
    if run.run.id != run.id or (run.result is not None and run.result.run != run.id):
        raise RecordError(f"{run.folder.path}: holds the records of another run")
    _ = run.ledger, run.environment  # each is parsed when it is asked for
    run.read_history()
    run.read_arrays()
    run.read_figures()
    if run.ok and run.run.role == "final":
        _ = run.cases_table
        run.read_predictions()


def _refuse_conflicts(file: Path, root: Path, records: Mapping[PurePosixPath, bytes]) -> None:
    different = [root / path for path, content in records.items() if _differs(root / path, path, content)]
    if different:
        named = "\n".join(map(str, different[:NAMED_CONFLICTS]))
        more = f"\nand {len(different) - NAMED_CONFLICTS} more" if len(different) > NAMED_CONFLICTS else ""
        raise RecordError(
            f"{file}: {len(different)} record(s) differ from what is here; nothing was imported. Import into another "
            f"--runs directory, or move these away first:\n{named}{more}"
        )


def _differs(here: Path, path: PurePosixPath, content: bytes) -> bool:
    return path.parts[0] not in FIRST_WRITTEN_WINS and here.is_file() and here.read_bytes() != content
