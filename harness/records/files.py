"""Atomic files: temp file + fsync + rename, so that a reader sees the old content or the new."""

import errno
import lzma
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from harness.api.errors import DiskError, RecordError
from harness.api.strict import Strict
from harness.records.checksums import open_record, seal_record
from harness.records.schema import BY_FIRST_VERSION, SCHEMA

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")
"""Name of a file that `replace_file` is writing."""
MOST_BYTES = 200_000_000
"""Limit of a JSON record: room for the trials of any search."""

R = TypeVar("R", bound=Strict)
_DISK_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE),
    *(errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's write errors into one clear `DiskError` that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        raise DiskError(
            f"cannot write {path}: {error.strerror}. Free space or choose another --runs directory, then run the "
            "same command again: it goes on from the records."
        ) from None


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file as `replace_file` does, with the folders above it. Raises `DiskError`."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, write)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, fsync it, and rename it over `path`. Raises `OSError`.

    The file gets the permissions that the umask gives any new file.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write(temporary)
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def write_text(path: Path, text: str) -> None:
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    write_atomic(path, lambda temporary: temporary.write_bytes(content))


def write_record(path: Path, record: Strict, indent: int | None = 1) -> None:
    """Atomic JSON record, with its checksum; indent: None for long lists of numbers on one line."""
    write_text(path, seal_record(record.model_dump_json(indent=indent)))


def read_content(path: Path, most_bytes: int | None = None) -> bytes:
    """Read a whole file.

    Raises `RecordError` where it is missing, no file, or larger than `most_bytes`, and `DiskError`.
    """
    with read_errors(path):
        size = refuse_other_than_file(path)
        if most_bytes is not None and size > most_bytes:
            raise RecordError(f"{path}: {size:,} bytes are more than a record holds ({most_bytes:,})")
        return path.read_bytes()


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors into a `RecordError` where the file is missing, else into a `DiskError`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise RecordError(f"{path} is missing") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def refuse_other_than_file(path: Path) -> int:
    """Bytes of a file. Raises `RecordError` for something else: reading a pipe would wait for ever."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise RecordError(f"{path}: {kind} where a record should be. Move it away, then run the same again")
    return status.st_size


def is_there(path: Path) -> bool:
    """Whether something has that name, be it a broken link. Raises `DiskError` where nothing says so."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, error) from None
    return True


def _unreadable(path: Path, error: OSError) -> DiskError:
    return DiskError(f"cannot read {path}: {error.strerror}. Make it readable, then run the same again.")


def read_record(path: Path, kind: type[R]) -> R:
    """Read and validate a JSON record, which may be packed as .xz.

    Raises `RecordError` where it is missing, damaged, foreign, or of another schema, and `DiskError`.
    """
    content = read_content(path, MOST_BYTES)
    if path.suffix == ".xz":
        with suppress(lzma.LZMAError):  # then its checksum is not that of its content
            content = lzma.decompress(content)
    opened = open_record(content)
    if opened is None:
        refuse_other_version(version_in(content), path)
        raise RecordError(
            f"{path}: not a whole {kind.__name__} record: its checksum is not that of its content. It is damaged, was "
            "edited by hand, or belongs to another program"
        )
    try:
        record = kind.model_validate_json(opened)
    except ValidationError as error:
        refuse_other_version(version_in(content), path)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "record"
        raise RecordError(f"{path}: {where}: {first['msg']} (not a {kind.__name__} record of this version)") from None
    refuse_other_version(getattr(record, "schema_version", None), path)
    return record


def version_in(content: bytes) -> int | None:
    """The first schema version in a JSON text, which need not be whole."""
    version = re.search(rb'"schema_version":\s*(\d{1,9})\b', content)
    return int(version[1]) if version else None


def refuse_other_version(version: object, path: Path | str) -> None:
    """Raise `RecordError` for a schema that is not this version's. A value that is no integer is not judged."""
    if not isinstance(version, int) or isinstance(version, bool) or version == SCHEMA:
        return
    by = "a newer version of the harness" if version > SCHEMA else BY_FIRST_VERSION
    mend = ". Update the harness to read it." if version > SCHEMA else ""
    raise RecordError(f"{path}: schema_version {version} was written by {by}; this one reads schema {SCHEMA}{mend}")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (path.is_dir() and error.errno == errno.EINVAL):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(handle)
