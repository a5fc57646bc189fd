"""Per-case records: of one run as a table, of many runs as matrices, since most were tested on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.api.errors import RecordError
from harness.records.index import Index
from harness.records.run_folder import RunFolder

ROW = ("checkpoint", "case", "patient", "phase", "class_name")
"""What a row of cases.parquet is about. Each run has it once."""

FRACTIONS = ("dice", "jaccard", "nsd_voxel", "nsd_mm")
"""Metrics in [0, 1], of which more is better."""

METRICS = (*FRACTIONS, "hd95_voxel", "asd_voxel", "assd_voxel", "hd95_mm", "asd_mm", "assd_mm")
"""All others are distances, in voxels or millimetres. What stands on millimetres is NaN where the spacing is unknown.
"""

MARKS = ("missed", "spurious")

CASE_COLUMNS = (*ROW, *METRICS, *MARKS, "voxels_true", "voxels_predicted")
"""Columns of per-case records: one row per checkpoint rule, case and class."""

STORED_COLUMNS = tuple(name for name in CASE_COLUMNS if name != "jaccard")
"""Those of cases.parquet: jaccard follows from dice."""

MOST_ROWS = 5_000_000
"""Of cases.parquet: a small file can promise rows that fill the memory."""

TESTED = pa.schema({**dict.fromkeys(ROW, pa.string()), "voxels_true": pa.int64()})

SCHEMA = pa.schema({
    "tested": pa.dictionary(pa.int32(), pa.binary()),
    **dict.fromkeys(METRICS, pa.list_(pa.float64())), **dict.fromkeys(MARKS, pa.list_(pa.bool_())),
})  # fmt: skip
"""tested: an Arrow stream of `TESTED`. A metric that is unknown in all rows is null."""

_READERS = 4
"""Files read at once: most of the time goes into waiting for the disk, or the network."""

_AT_ONCE = 256
"""Tables in memory before their rows join the others'."""


def read_cases(folder: RunFolder) -> pa.Table:
    """cases.parquet of a run, with `CASE_COLUMNS`. Raises `RecordError` where it is missing, damaged or foreign."""
    return parse_cases(folder.content("cases.parquet"), folder.path / "cases.parquet")


def parse_cases(content: bytes, path: Path) -> pa.Table:
    """The same of the content of such a file; path: its own, for messages."""
    try:
        with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
            if file.metadata.num_rows > MOST_ROWS:
                raise RecordError(f"{path}: {file.metadata.num_rows:,} rows are more than a test has")
            table = file.read(use_threads=False)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise RecordError(f"{path}: damaged: {error}") from None
    if absent := [name for name in STORED_COLUMNS if name not in table.column_names]:
        raise RecordError(f"{path}: no column {', '.join(absent)}; not a record of this version")
    table = table.select(STORED_COLUMNS)
    types = {field.name: pa.float64() if field.type == pa.float32() else field.type for field in table.schema}
    table = table.cast(pa.schema(types))
    try:
        jaccard = pc.divide(table["dice"], pc.subtract(2.0, table["dice"]))
    except pa.ArrowNotImplementedError:
        raise RecordError(f"{path}: not a record of this version: dice holds no numbers") from None
    return table.append_column("jaccard", jaccard).select(CASE_COLUMNS)


@dataclass(frozen=True)
class Block:
    """Runs that were tested on the same rows in the same order.

    tested: columns `TESTED`, [rows].
    runs:   places of the runs among all that were asked for, [runs].
    values: of each metric, [runs, rows]; NaN where it is unknown. Of `MARKS`, whether it is so, [runs, rows].
    """

    tested: pa.Table
    runs: NDArray[np.int64]
    values: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Cases:
    """Per-case records of many runs; table: columns `run` and `SCHEMA`, in no order."""

    table: pa.Table

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table], root: Path) -> Cases:
        """Those in tables of `read_cases` by run id; root: of the suite, for messages."""
        rows = [case_row(table, root / "runs" / run / "cases.parquet") for run, table in tables.items()]
        return cls(case_rows(rows).append_column("run", pa.array(tables, pa.string())))

    @cached_property
    def rows(self) -> dict[str, int]:
        """Run id -> its row."""
        return {run: row for row, run in enumerate(self.table["run"].to_pylist())}

    def blocks(self, runs: Iterable[str]) -> list[Block]:
        """The runs with those ids, in blocks by what they were tested on."""
        rows = np.array([self.rows[run] for run in runs], np.int64)
        tested = _array(self.table["tested"])
        codes = tested.indices.to_numpy()[rows]
        blocks = []
        for code in dict.fromkeys(codes.tolist()):
            own = pa.ipc.open_stream(tested.dictionary[code].as_py()).read_all()  # a copy: the table may go
            places = np.flatnonzero(codes == code)
            lists = {name: _array(self.table[name]) for name in (*METRICS, *MARKS)}
            values = {name: _matrix(column, rows[places], len(own)) for name, column in lists.items()}
            blocks.append(Block(own, places, values))
        return blocks


def no_cases() -> Block:
    values = {name: np.empty((0, 0), bool if name in MARKS else float) for name in (*METRICS, *MARKS)}
    return Block(TESTED.empty_table(), np.empty(0, np.int64), values)


def read_all_cases(root: Path, runs: Iterable[str], folder_of: Callable[[str], RunFolder]) -> Cases:
    """Per-case records of runs that finished; arguments as of `Index.rows`.

    Raises:
        RecordError: result.json or cases.parquet of one of them is missing, damaged or no record of this version.
    """
    asked = list(dict.fromkeys(runs))
    cases = Cases(INDEX.rows(root, asked, folder_of, keep=True))
    if gone := [run for run in asked if run not in cases.rows]:
        raise RecordError(f"{folder_of(gone[0]).path / 'result.json'} is missing")
    return cases


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which copies a single one, too


def _matrix(lists: pa.ListArray, rows: NDArray[np.int64], width: int) -> NDArray[Any]:
    """The lists of those rows, [rows, width]; NaN where a list is null."""
    values = lists.values.to_numpy(zero_copy_only=False)
    starts = lists.offsets.to_numpy()[rows]
    known = lists.is_valid().to_numpy(zero_copy_only=False)[rows]
    if not known.any():
        return np.broadcast_to(np.nan, (len(rows), width))
    if known.all() and (np.diff(starts) == width).all():  # all that lies between the first and the last: no copy
        return np.asarray(values[starts[0] : starts[0] + width * len(rows)].reshape(len(rows), width))
    matrix = np.full((len(rows), width), np.nan if values.dtype.kind == "f" else 0, values.dtype)
    matrix[known] = values[starts[known][:, None] + np.arange(width)]
    return matrix


def case_row(table: pa.Table, path: Path) -> dict[str, Any]:
    """A row of `SCHEMA`. table: of `read_cases`; path: its file. Raises `RecordError` where it holds something else."""
    try:
        tested = pa.BufferOutputStream()
        with pa.ipc.new_stream(tested, TESTED) as stream:
            stream.write_table(table.select(TESTED.names).cast(TESTED).combine_chunks())
        row = {"tested": tested.getvalue().to_pybytes()}
        for name in (*METRICS, *MARKS):
            values = table[name].cast(SCHEMA.field(name).type.value_type).to_numpy()
            unknown = name in METRICS and len(values) > 0 and bool(np.isnan(values).all())
            row[name] = None if unknown else values
        if any(row[name].dtype != bool for name in MARKS):
            raise ValueError(f"{' or '.join(MARKS)} is neither true nor false in some row")
    except (ValueError, TypeError, NotImplementedError) as error:  # what pyarrow raises for other types
        raise RecordError(f"{path}: not a record of this version: {error}") from None
    return row


def case_rows(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows of `case_row` as a table."""
    columns = {"tested": pa.array([row["tested"] for row in rows], pa.binary()).dictionary_encode()}
    for name in (*METRICS, *MARKS):
        lists = [row[name] for row in rows]
        ends = np.cumsum([0, *(0 if own is None else len(own) for own in lists)], dtype=np.int32)
        flat = pa.array(
            np.concatenate([np.empty(0, bool if name in MARKS else float), *(own for own in lists if own is not None)])
        )
        null = pa.array([own is None for own in lists])
        columns[name] = pa.ListArray.from_arrays(pa.array(ends), flat, mask=null)
    return pa.table(columns, SCHEMA)


def _read(folders: Sequence[RunFolder]) -> pa.Table:
    parts = [SCHEMA.empty_table()]
    with ThreadPoolExecutor(_READERS) as readers:
        for start in range(0, len(folders), _AT_ONCE):
            own = folders[start : start + _AT_ONCE]
            parts.append(
                case_rows(
                    [
                        case_row(table, folder.path / "cases.parquet")
                        for folder, table in zip(own, readers.map(read_cases, own), strict=True)
                    ]
                )
            )
    return pa.concat_tables(parts)


INDEX = Index("cases.arrow", SCHEMA, ("result.json", "cases.parquet"), _read)
