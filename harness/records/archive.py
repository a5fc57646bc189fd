"""Packs records of suites into one file, and imports it, all or nothing: a reviewer makes the same tables.

All records go but checkpoints, leases, logs and tracebacks, of a run that has not ended run.json alone; and what was
scored on the dataset's test split, as scored/<dataset>/<id of the log>. The same records give the same bytes.
"""

import gzip
import io
import lzma
import tarfile
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from harness.api.errors import RecordError, UsageError
from harness.records.archive_members import SUITE_NAME, unpack_archive
from harness.records.calibration import Calibration
from harness.records.checksums import open_record
from harness.records.files import read_content, read_record, write_atomic, write_bytes
from harness.records.reader import SuiteRecords
from harness.records.scored import ScoredFolder, find_packed_flaws
from harness.records.suite_folder import SuiteFolder
from harness.records.temporary import temporary_folder
from harness.records.verification import LEFT_OUT, find_flaws

SUFFIXES = (".tar.gz", ".tgz", ".tar.xz")
FIRST_WRITTEN_WINS = ("suites", "environments", "calibrations", "reconciliation.json")
"""Records that stay as they are here, whatever an import says. A hash of the compared content names suites,
environments and calibrations, so their comments, hosts and commits may differ. A reconciliation may be made more than
once. Further entries of a calibration join those that are here."""

NAMED_CONFLICTS = 5


def export_records(
    suites: Sequence[SuiteRecords],
    file: Path,
    *,
    history: bool = True,
    predictions: bool = True,
    artifacts: bool = True,
    weights: bool = False,
) -> int:
    """Write the records of suites to one .tar.gz, .tgz or .tar.xz file, atomically.

    Args:
        suites:      the records. Runs that several suites share take no more room in a .tar.xz.
        file:        the archive.
        history:     include losses and schedules of every step, which replay and audit need: most of the bytes.
        predictions: include label maps of the test cases.
        artifacts:   include arrays and figures that methods left for people.
        weights:     include the last weights of each run, for predictions of new scans.

    Returns:
        Number of files in the archive.
    """
    if not file.name.endswith(SUFFIXES):
        raise UsageError(f"--to {file}: name a .tar.gz file, or a .tar.xz file, which is smaller")
    wanted = {"history": history, "predictions": predictions, "weights": weights}
    wanted |= dict.fromkeys(("arrays", "figures"), artifacts)
    left_out = tuple(name for name in LEFT_OUT if not wanted[name])
    names = [suite.name for suite in suites]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name}: several of the suites to export are called so; rename a folder")
    files: dict[PurePosixPath, Path] = {}
    for suite in suites:
        for flaw in find_flaws(suite, unfinished=False):
            raise RecordError(f"{flaw}; nothing was exported")
        if not SUITE_NAME.fullmatch(suite.name):
            raise UsageError(f"{suite.root}: rename the folder to small letters, digits, - and _, as imports ask")
        own = {path: suite.root / path for path in _shared_paths(suite) if not _in_run(path).startswith(left_out)}
        own |= _scored_files(suite)
        files |= {suite.name / path: place for path, place in own.items()}
    write_atomic(file, lambda temporary: _pack(files, temporary, small=file.suffix == ".xz"))
    return len(files)


def _shared_paths(suite: SuiteRecords) -> Iterator[PurePosixPath]:
    store = suite.store
    paths = [*store.root.glob("suites/*.yaml"), *store.root.glob("environments/*.json")]
    paths += store.root.glob("calibrations/*.json")
    paths += [path for path in (store.selection_path, store.trials_path, store.reconciliation_path) if path.exists()]
    for run in suite.runs:
        paths.append(run.folder.path / "run.json")
        if run.folder.done:
            paths += [*run.folder.ended_files(), run.folder.path / "result.json"]
    return (PurePosixPath(path.relative_to(store.root).as_posix()) for path in paths)


def _scored_files(suite: SuiteRecords) -> dict[PurePosixPath, Path]:
    files: dict[PurePosixPath, Path] = {}
    for dataset in sorted({run.run.dataset.name for run in suite.runs}):
        for uses in ScoredFolder(suite.root.resolve().parent, dataset).logs():
            list(uses.scores())
            home = PurePosixPath("scored", dataset, uses.id)
            files |= {home / path.relative_to(uses.path).as_posix(): path for path in uses.files()}
    return files


def _in_run(path: PurePosixPath) -> str:
    """Its name within its run's folder; empty for records of the suite."""
    return "/".join(path.parts[2:]) if path.parts[0] == "runs" else ""


def _pack(files: Mapping[PurePosixPath, Path], file: Path, *, small: bool) -> None:
    """A tar without times and owners, so that equal records give equal bytes; like beside like, which packs best."""
    runs = {path.parent: open_record(read_content(at)) or b"" for path, at in files.items() if path.name == "run.json"}
    order = sorted(files, key=lambda path: (path.name, runs.get(path.parent, b""), path))
    with (
        file.open("wb") as target,
        lzma.open(target, "wb", preset=9 | lzma.PRESET_EXTREME)
        if small
        else gzip.GzipFile("", "wb", fileobj=target, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in order:
            content = read_content(files[path])
            member = tarfile.TarInfo(str(path))
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))


SuiteHash = Callable[[Path], str]


class Imported(NamedTuple):
    """A suite's folder, how many files an import added, and how many were there already."""

    root: Path
    added: int
    kept: int


def import_records(file: Path, runs: Path, suite_hash: SuiteHash | None = None) -> list[Imported]:
    """Add the records of an export to RUNS/<suite>/, and scores to RUNS/scored/. Equal files that are there are kept.

    Args:
        file: the export.
        runs: the folder RUNS.
        suite_hash: reads and validates a suite's file as one's own is, and gives its hash. None: they go unread.

    Returns:
        One for each suite in the file.

    Raises:
        RecordError: the file is no export, damaged, of another schema, or differs from records that are there. Nothing
            is written then.
        DiskError: the directory cannot be written or belongs to another program.
    """
    with temporary_folder("harness-import-") as folder:
        suites = unpack_archive(file, folder)
        for suite in suites:
            SuiteFolder.refuse_foreign(runs / suite)
        for flaw in find_archive_flaws(file, folder, suite_hash):
            raise RecordError(f"{flaw}; nothing was imported")
        places = {
            suite: {folder / suite / path: _place(runs / suite, path) for path in records}
            for suite, records in suites.items()
        }
        _refuse_conflicts(file, folder, ChainMap(*places.values()))
        return [_add(folder / suite, runs / suite, own) for suite, own in places.items()]


def _add(unpacked: Path, root: Path, places: Mapping[Path, Path]) -> Imported:
    store = SuiteFolder.create(root)
    new = [path for path, place in places.items() if not place.exists() or _goes_on(place, path)]
    _join_calibrations(store, unpacked.glob("calibrations/*.json"), places)
    # a run counts as done once its result is there, so results come last
    for path in sorted(new, key=lambda path: (path.name == "result.json", path)):
        write_bytes(places[path], read_content(path))
    return Imported(root, len(new), len(places) - len(new))


def _place(root: Path, path: PurePosixPath) -> Path:
    if path.parts[0] != "scored":
        return root / path
    _, dataset, log_id, *rest = path.parts
    return ScoredFolder(root.parent, dataset).home(log_id).joinpath(*rest)


def _goes_on(place: Path, path: Path) -> bool:
    """Whether an export holds later uses of a log that is here."""
    if place.name != "uses.jsonl":
        return False
    ours, theirs = read_content(place), read_content(path)
    return ours != theirs and theirs.startswith(ours)


def _join_calibrations(store: SuiteFolder, paths: Iterable[Path], places: Mapping[Path, Path]) -> None:
    """So that imported runs find what their steps cost beside entries that are here."""
    for path in paths:
        if (place := places[path]).exists():
            ours, theirs = read_record(place, Calibration), read_record(path, Calibration)
            if ours != theirs:
                store.write_calibration(ours.joined(theirs))


def find_archive_flaws(file: Path, folder: Path, suite_hash: SuiteHash | None = None) -> Iterator[str]:
    """A line for each flaw among the records of a file that were unpacked in a folder."""
    flaws = []
    for suite in sorted(folder.iterdir()):
        flaws += [find_flaws(SuiteRecords(SuiteFolder(suite))), find_packed_flaws(suite)]
    if suite_hash is not None:
        flaws.append(_suite_flaws(sorted(folder.glob("*/suites/*.yaml")), suite_hash))
    yield from (f"{file}: {flaw.replace(f'{folder}/', '')}" for flaw in chain(*flaws))


def _suite_flaws(suites: Iterable[Path], suite_hash: SuiteHash) -> Iterator[str]:
    for suite in suites:
        try:
            if suite_hash(suite) != suite.stem:
                yield f"{suite}: is not the suite that its name says"
        except (RecordError, UsageError) as error:
            yield str(error)


def _refuse_conflicts(file: Path, folder: Path, places: Mapping[Path, Path]) -> None:
    different = [
        place
        for path, place in places.items()
        if path.relative_to(folder).parts[1] not in FIRST_WRITTEN_WINS
        and place.is_file()
        and _contradicts(place, read_content(path))
    ]
    if different:
        named = "\n".join(map(str, different[:NAMED_CONFLICTS]))
        more = f"\nand {len(different) - NAMED_CONFLICTS} more" if len(different) > NAMED_CONFLICTS else ""
        raise RecordError(
            f"{file}: {len(different)} record(s) differ from what is here; nothing was imported. Import into another "
            f"--runs directory, or move these away first:\n{named}{more}"
        )


def _contradicts(place: Path, content: bytes) -> bool:
    ours = read_content(place)
    return ours != content and not (
        place.name == "uses.jsonl" and (content.startswith(ours) or ours.startswith(content))
    )
