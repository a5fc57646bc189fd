"""Packs records without weights into one file, and reads it again: a reviewer makes the same tables from it.

The archive holds SUITE/suites/<hash>.yaml, selection.json, trials.json, reconciliation.json,
environments/<fingerprint>.json and run.json of every run. Of a run that has ended it also holds result.json,
ledger.jsonl, history, cases.parquet, predictions.npz, arrays.npz, figures and final.json. Checkpoints, leases, logs and
tracebacks are left out. The same records give the same bytes.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from harness.api.errors import RecordError, UsageError
from harness.records.figures import NAME as FIGURE_NAME
from harness.records.files import write_bytes
from harness.records.reader import SuiteRecords
from harness.records.versions import written_before

SUFFIXES = (".tar.gz", ".tgz", ".tar.xz")
ENDED_FILES = (
    *("ledger.jsonl", "cases.parquet", "history.parquet", "predictions.npz", "arrays.npz", "final.json"),
    "result.json",
)
SUITE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
RECORDS = re.compile(
    r"suites/[0-9a-f]{64}\.yaml|selection\.json|trials\.json|reconciliation\.json|environments/[0-9a-f]{64}\.json"
    r"|runs/[0-9a-f]{64}/(run\.json|result\.json|ledger\.jsonl|cases\.parquet|history\.parquet|predictions\.npz"
    r"|arrays\.npz|final\.json)"
    r"|runs/[0-9a-f]{64}/history/\d+\.parquet"
    rf"|runs/[0-9a-f]{{64}}/figures/{FIGURE_NAME.pattern}\.png"
)
"""Paths below the suite's folder that an archive may hold. All others are refused."""


def export_records(suite: SuiteRecords, file: Path, *, history: bool = True, predictions: bool = True) -> int:
    """Write the records of a suite to one file, atomically.

    Args:
        suite:       the records.
        file:        a .tar.gz, .tgz or .tar.xz file.
        history:     include losses and schedules of every step: most of the bytes. Replay and audit need them, tables
                     do not.
        predictions: include label maps of the test cases, for pictures and to compute metrics again.

    Returns:
        Number of files in the archive.

    Raises:
        UsageError: the file has another suffix.
        DiskError:  it cannot be written.
    """
    if not file.name.endswith(SUFFIXES):
        raise UsageError(f"--to {file}: name a .tar.gz file, or a .tar.xz file, which is smaller")
    paths = sorted(
        path
        for path in shared_paths(suite)
        if (history or not (path.name == "history.parquet" or path.parent.name == "history"))
        and (predictions or path.name != "predictions.npz")
    )
    write_bytes(file, _packed(suite, paths, small=file.suffix == ".xz"))
    return len(paths)


def shared_paths(suite: SuiteRecords) -> Iterator[PurePosixPath]:
    """Paths of all exported records, relative to the suite's folder. Of a run that has not ended: run.json."""
    store = suite.store
    paths = [*store.root.glob("suites/*.yaml"), *store.root.glob("environments/*.json")]
    paths += [path for path in (store.selection_path, store.trials_path, store.reconciliation_path) if path.exists()]
    for run in suite.runs:
        paths.append(run.folder.path / "run.json")
        if run.folder.done:
            paths += ended_files(run.folder.path)
    return (PurePosixPath(path.relative_to(store.root).as_posix()) for path in paths)


def ended_files(folder: Path) -> list[Path]:
    """Exported files of a run that has ended, result.json last."""
    named = [folder / name for name in ENDED_FILES if (folder / name).exists()]
    return [*(folder / "history").glob("*.parquet"), *(folder / "figures").glob("*.png"), *named]


def _packed(suite: SuiteRecords, paths: list[PurePosixPath], *, small: bool) -> bytes:
    """A tar in the order of `paths`, without times and owners, so that equal records give equal bytes."""
    buffer = io.BytesIO()
    with (
        lzma.open(buffer, "wb", preset=9) if small else gzip.GzipFile("", "wb", fileobj=buffer, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in paths:
            content = (suite.root / path).read_bytes()
            member = tarfile.TarInfo(f"{suite.name}/{path}")
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def read_archive(file: Path) -> tuple[str, dict[PurePosixPath, bytes]]:
    """Read an export; nothing is written.

    Returns:
        Name of the suite, and the content of its records by path below the suite's folder.

    Raises:
        RecordError: the file is no export, or holds absolute paths, `..`, links, devices, or names that no record has.
    """
    try:
        with tarfile.open(file, "r:*") as archive:
            members = [(member, _content(archive, member)) for member in archive]
    except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise RecordError(f"{file}: cannot be read as an export ({error}); get the file again") from None
    records: dict[PurePosixPath, bytes] = {}
    suites = set()
    for member, content in members:
        suite, _, path = member.name.partition("/")
        if path.startswith("units/"):
            raise RecordError(f"{file}: its records were {written_before()}; nothing was imported")
        if content is None or not SUITE_NAME.fullmatch(suite) or not RECORDS.fullmatch(path):
            raise RecordError(f"{file}: holds {member.name!r}, which is no record of a suite; nothing was imported")
        suites.add(suite)
        records[PurePosixPath(path)] = content
    if len(suites) != 1:
        raise RecordError(f"{file}: holds the records of {len(suites)} suites, not of one; nothing was imported")
    return suites.pop(), records


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    stream = archive.extractfile(member) if member.isreg() else None
    return None if stream is None else stream.read()
