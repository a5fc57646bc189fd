"""A file of records that only grows: one O_APPEND write and fsync for each line, which begins with its checksum.

A line whose writer died inside it is ignored.
"""

import errno
import os
import threading
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from harness.api.errors import DiskError, RecordError
from harness.api.strict import Strict
from harness.records.checksums import open_line, seal_line
from harness.records.files import is_there, read_content, refuse_other_version, version_in

TORN = b"# its writer died\n"
"""What the next writer puts behind a line that has no end, so that a reader knows it from a damaged one."""

L = TypeVar("L", bound=Strict)


class AppendOnly(Generic[L]):
    def __init__(self, path: Path, kind: type[L]) -> None:
        self.path = path
        self.kind = kind
        self._lock = threading.Lock()

    def append(self, line: L) -> None:
        """Write one line durably. Safe from several threads. Raises `DiskError`."""
        data = seal_line(line.model_dump_json())
        with self._lock:
            try:
                handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
                try:
                    whole = self._mend(handle) + data
                    if os.write(handle, whole) < len(whole):  # a nearly full disk takes the beginning alone
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(handle)
                finally:
                    os.close(handle)
            except OSError as error:
                raise DiskError(f"cannot write {self.path}: {error.strerror}. Free space, then run again.") from None

    def _mend(self, handle: int) -> bytes:
        """`TORN` first if the previous writer died inside its line, so that only that line is lost."""
        size = os.fstat(handle).st_size
        if size == 0:
            return b""
        with self.path.open("rb") as file:
            file.seek(size - 1)
            return b"" if file.read(1) == b"\n" else TORN

    def lines(self) -> list[L]:
        """All whole lines in order. Raises `RecordError` for one that is damaged, foreign or of another version."""
        return parse_lines(read_content(self.path), self.path, self.kind) if is_there(self.path) else []


def parse_lines(content: bytes, path: Path, kind: type[L]) -> list[L]:
    """The whole lines of a file of this path."""
    ended = [line + b"\n" for line in content.split(b"\n")[:-1]]  # what follows the last newline has no end
    whole = [line for line in ended if not line.endswith(TORN)]
    return [_parse(number, line, path, kind) for number, line in enumerate(whole, start=1)]


def _parse(number: int, line: bytes, path: Path, kind: type[L]) -> L:
    opened = open_line(line)
    if opened is None:
        refuse_other_version(version_in(line), path)
        raise RecordError(f"{path}: line {number} is damaged: its checksum is not that of its content")
    try:
        return kind.model_validate_json(opened)
    except ValidationError as error:
        refuse_other_version(version_in(line), path)
        message = f"{path}: line {number}: {error.errors()[0]['msg']} (not a line of {kind.__name__})"
        raise RecordError(message) from None
