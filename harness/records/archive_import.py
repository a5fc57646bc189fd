"""Imports exported records, all of them or none."""

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
"""Records that stay as they are here, whatever an import says. A hash of the compared content names suites and
environments, so their comments, hosts and commits may differ. A reconciliation may be made more than once."""

NAMED_CONFLICTS = 5


@dataclass(frozen=True)
class Imported:
    """Result of an import: how many files were added, and how many were here already."""

    store: SuiteFolder
    added: int
    kept: int


def import_records(file: Path, runs: Path) -> Imported:
    """Add the records of an export to RUNS/<suite>/. Equal files that are there already are kept.

    Args:
        file: the export.
        runs: the folder RUNS.

    Raises:
        RecordError: the file is no export, damaged, of another schema, or differs from records that are there. Nothing
            is written then.
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
    """Read every record from a temporary folder. An error names the path in the archive."""
    with tempfile.TemporaryDirectory(prefix="harness-import-") as name:
        folder = Path(name)
        for path, content in records.items():
            with disk_errors(folder / path):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        try:
            check_records(SuiteRecords(SuiteFolder(folder)))
        except RecordError as error:
            message = str(error).replace(f"{folder}/", "")
            raise RecordError(f"{file}: {message}; nothing was imported") from None


def check_records(suite: SuiteRecords) -> None:
    """Read all records. Raises `RecordError` for one that is damaged, of another version, or in a wrong place."""
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
    """Read all records of a run. Raises `RecordError` for one that is damaged, missing or of another run."""
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
    different = [
        root / path
        for path, content in records.items()
        if path.parts[0] not in FIRST_WRITTEN_WINS and (root / path).is_file() and (root / path).read_bytes() != content
    ]
    if different:
        named = "\n".join(map(str, different[:NAMED_CONFLICTS]))
        more = f"\nand {len(different) - NAMED_CONFLICTS} more" if len(different) > NAMED_CONFLICTS else ""
        raise RecordError(
            f"{file}: {len(different)} record(s) differ from what is here; nothing was imported. Import into another "
            f"--runs directory, or move these away first:\n{named}{more}"
        )
