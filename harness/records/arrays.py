"""Named arrays of a run in one file, with the version of the format.

arrays.npz:      small ones that a method leaves for figures.
predictions.npz: the label maps that a run predicted on the test cases, for pictures and to check a metric. One array
                 per case holds the whole volume, so that methods can be compared on the same slice. It holds no scan.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api.errors import RecordError
from harness.records.files import refuse_other_version, write_atomic
from harness.records.schema import SCHEMA

MAX_BYTES = 1_000_000
"""Limit of arrays.npz: room for features of a few hundred pixels, not for weights, maps or scans."""

MAX_LABEL_BYTES = 4_000_000_000
"""Limit of all label maps, unpacked: room for several test sets of whole volumes, but not for all of the memory."""

VERSION = "schema_version"

Array = NDArray[Any]


def refuse_large(arrays: Mapping[str, Array]) -> None:
    """Raise `ValueError` for arrays of more than `MAX_BYTES`, headers not counted."""
    total = sum(array.nbytes for array in arrays.values())
    if total > MAX_BYTES:
        raise ValueError(f"arrays of {total:,} bytes are more than a record holds ({MAX_BYTES:,})")


def write_arrays(path: Path, arrays: Mapping[str, Array], *, compressed: bool = False) -> None:
    """Write them atomically. Equal arrays give equal bytes."""
    save = np.savez_compressed if compressed else np.savez
    content: dict[str, Any] = {VERSION: np.int64(SCHEMA), **arrays}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # given a name, numpy would append .npz to it
            save(file, allow_pickle=False, **content)

    write_atomic(path, write)


def read_arrays(path: Path, most_bytes: int, names: Iterable[str] | None = None) -> dict[str, Array]:
    """The arrays by name.

    Args:
        path:       the file.
        most_bytes: limit of all arrays, unpacked.
        names:      of the wanted arrays; those that the file lacks are left out. None reads all.

    Raises:
        RecordError: the file is damaged, foreign, too large or of another version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(member.file_size for member in archive.infolist())
        if declared > most_bytes:
            raise RecordError(f"{path}: {declared:,} bytes are more than a record of arrays holds")
        with np.load(path, allow_pickle=False) as file:
            refuse_other_version(int(file[VERSION]), path)
            stored = [name for name in file.files if name != VERSION]
            return {name: file[name] for name in (stored if names is None else names) if name in stored}
    except (OSError, EOFError, ValueError, TypeError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        raise RecordError(f"{path}: not a record of arrays; it may be damaged ({error})") from None
