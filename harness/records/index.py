"""Records as columns in one file: a cache of what was read, with its checksums compared, so that nobody reads it twice.

A row counts while inode, size and times of the files that it was read from are what they were; no program sets a ctime,
so an edited, copied or restored record has no row. A file system is assumed to give a changed file another time, size
or inode, as local ones, NFS and Lustre do. Files younger than `YOUNG_NS` are not kept: they could change within the
same tick of that clock. An index that is absent, damaged or of another version is made anew.
"""

import hashlib
import logging
import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from harness.api.errors import DiskError, HarnessError
from harness.records.files import is_there, read_content, write_atomic
from harness.records.run_folder import RunFolder

log = logging.getLogger(__name__)

YOUNG_NS = 2_000_000_000
HEADER = 128
"""Bytes before the Arrow file; a multiple of 64, so that its numbers stay aligned in memory."""

_STAMP = struct.Struct("<Qqqq")

_MAGIC = b"harness index 1, sha256 of what follows: "


@dataclass(frozen=True)
class Index:
    """One table with a row for each run.

    name:   of the file in RUNS/<suite>/index/.
    schema: columns of the table besides `run` and `stamp`.
    files:  of a run's folder, from which its row is read. A run without the first one has no row.
    read:   makes rows of folders, in their order.
    """

    name: str
    schema: pa.Schema
    files: tuple[str, ...]
    read: Callable[[Sequence[RunFolder]], pa.Table]

    def rows(self, root: Path, runs: Sequence[str], folder_of: Callable[[str], RunFolder], *, keep: bool) -> pa.Table:
        """A row for each run that has one, in no order; folder_of: of an id. keep: whether to write what was read."""
        path, begun = root / "index" / self.name, time.time_ns()
        stamps = {run: stamp for run in runs if (stamp := self._stamp(f"{root}/runs/{run}"))}
        stored = self._stored(path)
        of_stored = zip(stored["run"].to_pylist(), stored["stamp"].to_pylist(), strict=True)
        current = {run: row for row, (run, stamp) in enumerate(of_stored) if stamps.get(run) == stamp}
        missing = [run for run in stamps if run not in current]
        if not missing and len(current) == stored.num_rows:
            return stored
        table = stored.take(pa.array(current.values(), pa.int64()))
        if missing:
            columns = {"run": pa.array(missing), "stamp": pa.array([stamps[run] for run in missing], self._stamp_type)}
            fresh = self.read([folder_of(run) for run in missing])
            table = pa.concat_tables([table, pa.table(columns | dict(zip(fresh.column_names, fresh, strict=True)))])
            table = table.unify_dictionaries().combine_chunks()
        if keep:
            old = [
                all(changed < begun - YOUNG_NS for *_, changed in _STAMP.iter_unpack(stamps[run]))
                for run in table["run"].to_pylist()
            ]
            _write(path, table if all(old) else table.filter(pa.array(old)))
        return table

    @property
    def _stamp_type(self) -> pa.DataType:
        return pa.binary(_STAMP.size * len(self.files))

    def _stamp(self, folder: str) -> bytes | None:
        """Inode, size and times of the files; of one that cannot be seen, as its reader will say, now."""
        stamp = b""
        for name in self.files:
            try:
                status = os.stat(f"{folder}/{name}")  # noqa: PTH116 - a Path takes three times as long
                stamp += _STAMP.pack(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            except OSError:
                if not stamp and not is_there(Path(folder, name)):
                    return None
                stamp += _STAMP.pack(0, 0, 0, time.time_ns())
        return stamp

    def _stored(self, path: Path) -> pa.Table:
        """The table on disk; one without rows where it is none of this version."""
        whole = pa.schema([("run", pa.string()), ("stamp", self._stamp_type), *self.schema])
        try:
            content = read_content(path)  # not mapped: where another machine replaces the file, pages would be gone
            if content[:HEADER] != _header(hashlib.sha256(memoryview(content)[HEADER:]).hexdigest()):
                raise ValueError("another version, or damaged")
            table = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(content).slice(HEADER))).read_all()
            if table.schema != whole:
                raise ValueError("other columns")
            table.validate(full=True)
        except (HarnessError, ValueError) as error:  # pyarrow's errors are ValueErrors
            log.debug("%s: made anew (%s)", path, error)
            return whole.empty_table()
        return table


def _write(path: Path, table: pa.Table) -> None:
    """What goes wrong costs time alone."""
    try:
        write_atomic(path, lambda temporary: _fill(temporary, table))
    except (DiskError, OSError) as error:
        log.debug("not kept: %s", error)


def _header(checksum: str) -> bytes:
    return (_MAGIC + checksum.encode()).ljust(HEADER - 1) + b"\n"


def _fill(path: Path, table: pa.Table) -> None:
    with path.open("w+b") as file:
        file.write(bytes(HEADER))
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        file.seek(HEADER)
        header = _header(hashlib.file_digest(file, "sha256").hexdigest())
        file.seek(0)
        file.write(header)
