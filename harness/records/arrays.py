"""arrays.npz: small named arrays that a method leaves for figures, and the version of the format."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api.errors import RecordError
from harness.records.files import write_atomic
from harness.records.schema import SCHEMA
from harness.records.versions import refuse_other_version

MAX_BYTES = 1_000_000
"""Limit of all arrays of a run: room for features of a few hundred pixels, not for weights, maps or scans."""

VERSION = "schema_version"

Array = NDArray[Any]


def refuse_large(arrays: Mapping[str, Array]) -> None:
    """Raise `ValueError` for arrays of more than `MAX_BYTES`, headers not counted."""
    total = sum(array.nbytes for array in arrays.values())
    if total > MAX_BYTES:
        raise ValueError(f"arrays of {total:,} bytes are more than a record holds ({MAX_BYTES:,})")


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write them atomically. Equal arrays give equal bytes. Raises `ValueError` above `MAX_BYTES`."""
    refuse_large(arrays)
    content: dict[str, Any] = {**arrays, VERSION: np.int64(SCHEMA)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # given a name, numpy would append .npz to it
            np.savez(file, allow_pickle=False, **content)

    write_atomic(path, write)


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays by name. Raises `RecordError` for a file that is damaged, foreign, too large or of another version."""
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(member.file_size for member in archive.infolist())
        if declared > 2 * MAX_BYTES:
            raise RecordError(f"{path}: {declared:,} bytes are more than a record of arrays holds")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        version = int(arrays.pop(VERSION))
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise RecordError(f"{path}: not a record of arrays; it may be damaged ({error})") from None
    refuse_other_version(version, path)
    return arrays
