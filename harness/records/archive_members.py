"""Unpacks the members of an export. Name, kind and size of each are checked before it is read."""

import io
import lzma
import re
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Self

from harness.api.errors import RecordError
from harness.records.artifacts import MAX_BYTES, MAX_LABEL_BYTES
from harness.records.artifacts import NAME as FIGURE_NAME
from harness.records.files import disk_errors
from harness.records.run_folder import ENDED_FILES
from harness.records.schema import BY_FIRST_VERSION

SUITE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
RECORDS = re.compile(
    r"suites/[0-9a-f]{64}\.yaml|selection\.json|trials\.json|reconciliation\.json"
    r"|(environments|calibrations)/[0-9a-f]{64}\.json"
    r"|scored/[A-Za-z0-9][A-Za-z0-9_.-]*/[0-9a-f]{16}/(uses\.jsonl|[1-9][0-9]{0,8}/(score\.json|cases\.parquet))"
    rf"|runs/[0-9a-f]{{64}}/({'|'.join(map(re.escape, ('run.json', *ENDED_FILES, 'result.json')))}"
    r"|history/[0-9]{1,12}-[0-9a-f]{8}\.parquet"
    rf"|figures/{FIGURE_NAME.pattern}\.png)"
)

LARGEST = {
    "predictions.npz": MAX_LABEL_BYTES,
    "arrays.npz": 3 * MAX_BYTES,
    "weights.pt": 2_000_000_000,
    ".png": MAX_BYTES,
    ".yaml": 1_000_000,
    "run.json": 1_000_000,
    "final.json": 1_000_000,
    "result.json": 50_000_000,
    ".json": 200_000_000,
    ".jsonl": 200_000_000,
    ".parquet": 500_000_000,
}
"""Bytes of a member at most, by the end of its name; the first that fits."""

LARGEST_TOTAL = 16_000_000_000
MOST_MEMBERS = 1_000_000
LARGEST_HEADER = 65_536

HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME)
SHOWN = 200
"""Characters of a name in a message."""


class _RefusedMemberError(Exception):
    """A member that no export has; what it is."""


class _Member(tarfile.TarInfo):
    """A member's header, checked before tarfile acts on it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Refuse links, devices, folders, holes, and headers of absurd sizes."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in HEADERS:
            if not 0 <= member.size <= LARGEST_HEADER:
                raise _RefusedMemberError(f"a header of {member.size:,} bytes")
        elif member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise _RefusedMemberError(f"{_shown(member.name)}, which is no plain file and no record of a suite")
        return member


def unpack_archive(file: Path, folder: Path) -> dict[str, list[PurePosixPath]]:
    """Write the records of an export into an empty folder, member by member, each suite's into a folder of its name.

    For each suite the path of each record below its folder. Raises `RecordError` where the file is no export, or holds
    other names, links, devices, sparse files, a name twice, or too many bytes; and `DiskError`.
    """
    suites: dict[str, list[PurePosixPath]] = {}
    names: set[str] = set()
    total = 0
    try:
        with tarfile.open(file, "r:*", tarinfo=_Member) as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined] # it would keep them all
                suite, path = _checked(member)
                if member.name in names:
                    raise _RefusedMemberError(f"{_shown(member.name)} twice")
                names.add(member.name)
                suites.setdefault(suite, []).append(path)
                total += member.size
                if total > LARGEST_TOTAL or len(names) > MOST_MEMBERS:
                    raise _RefusedMemberError("more than the records of a suite")
                _write(archive, member, folder / suite / path)
    except _RefusedMemberError as error:
        raise RecordError(f"{file}: holds {error}; nothing was imported") from None
    except (OSError, EOFError, ValueError, OverflowError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise RecordError(f"{file}: cannot be read as an export ({error}); get the file again") from None
    if not suites:
        raise RecordError(f"{file}: holds no records; get the file again")
    return dict(sorted(suites.items()))


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    with archive.extractfile(member) or io.BytesIO() as stream, disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as target:
            shutil.copyfileobj(stream, target)


def _checked(member: tarfile.TarInfo) -> tuple[str, PurePosixPath]:
    suite, _, path = member.name.partition("/")
    if path.startswith("units/"):
        raise _RefusedMemberError(f"what was written by {BY_FIRST_VERSION}")
    if member.issparse() or any(key.startswith("GNU.sparse") for key in member.pax_headers):
        raise _RefusedMemberError(f"{_shown(member.name)}, a sparse file and no record of a suite")
    if not SUITE_NAME.fullmatch(suite) or not RECORDS.fullmatch(path):
        raise _RefusedMemberError(f"{_shown(member.name)}, which is no record of a suite")
    largest = next(size for end, size in LARGEST.items() if path.endswith(end))
    if not 0 <= member.size <= largest:
        raise _RefusedMemberError(f"{member.name} of {member.size:,} bytes, where a record has {largest:,} at most")
    return suite, PurePosixPath(path)


def _shown(name: str) -> str:
    return repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}...")
