"""A suite's records wherever they lie: its folder, an export, a folder that holds one, or one in a git revision."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.api.errors import UsageError
from harness.records.archive import SUFFIXES, import_records
from harness.records.reader import SuiteRecords
from harness.records.suite_folder import SuiteFolder
from harness.records.temporary import temporary_folder
from harness.suite.load import load_suite


@contextmanager
def opened(source: str) -> Iterator[SuiteRecords]:
    """Open records for reading; an export is unpacked while the block runs.

    source: a suite's folder, an export, a folder with one export in it, or REVISION:FILE, an export in a git revision
    of the
            repository in the working folder.
    """
    path = Path(source)
    with temporary_folder("harness-records-") as temporary:
        if path.is_dir() and (path / "suites").is_dir():
            yield SuiteRecords.open(path)
        else:
            suites = unpacked(_archive(source, temporary), temporary)
            if len(suites) > 1:
                names = ", ".join(suite.name for suite in suites)
                raise UsageError(f"{source}: holds the suites {names}; import it and name one's folder")
            yield suites[0]


def unpacked(archive: Path, folder: Path) -> list[SuiteRecords]:
    """The records of each suite in an export, imported into a folder."""
    imported = import_records(archive, folder / "runs", lambda path: load_suite(path).suite.hash)
    return [SuiteRecords(SuiteFolder.open(each.root)) for each in imported]


def _archive(source: str, temporary: Path) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    if path.is_dir():
        archives = archives_in(path)
        if len(archives) == 1:
            return archives[0]
        if not archives:
            SuiteFolder.open(path)  # says what is nearest
        raise UsageError(f"{path}: holds {len(archives)} exports; name one, such as {archives[0]}")
    revision, colon, name = source.partition(":")
    if not colon or not name.endswith(SUFFIXES):
        raise UsageError(
            f"{source}: no such file or folder; name a suite's folder, an export ({', '.join(SUFFIXES)}), or "
            "REVISION:FILE for an export in a git revision"
        )
    try:
        done = subprocess.run(["git", "show", f"{revision}:./{name}"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = (getattr(error, "stderr", None) or str(error).encode()).decode(errors="replace").strip()
        raise UsageError(f"{source}: no such file, and git has none of that name ({why})") from None
    file = temporary / Path(name).name
    file.write_bytes(done.stdout)
    return file


def archives_in(folder: Path) -> list[Path]:
    """The exports in a folder and below it, by name; hidden folders are left out."""
    files = (path for path in folder.rglob("*") if path.name.endswith(SUFFIXES) and path.is_file())
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))
