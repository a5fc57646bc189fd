"""predictions.npz: the label maps that a run predicted on the test cases, for pictures and to check a metric.

One compressed array per case holds the whole volume, so that methods can be compared on the same slice.
It holds no scan.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.errors import RecordError
from harness.records.schema import SCHEMA
from harness.records.versions import refuse_other_version

if TYPE_CHECKING:
    from harness.api.dataset import LabelMap

VERSION = "schema_version"

MAX_BYTES = 4_000_000_000
"""Limit of all label maps, unpacked: room for several test sets of whole volumes, but not for all of the memory."""


def pack(path: Path, labels: Mapping[str, LabelMap]) -> None:
    """Write label maps by case id. Equal maps give equal bytes."""
    import numpy as np

    with path.open("wb") as file:  # given a name, numpy would add .npz to it
        np.savez_compressed(file, allow_pickle=False, **{VERSION: np.array(SCHEMA)}, **labels)


def unpack(path: Path, cases: Iterable[str] | None = None) -> dict[str, LabelMap]:
    """Read label maps by case id.

    Args:
        path:  the file.
        cases: ids of the wanted cases; those that the file lacks are left out. None reads all.

    Raises:
        RecordError: the file is damaged, too large, or of another version.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise RecordError(f"{path}: holds more than label maps of one test set")
        with np.load(path, allow_pickle=False) as file:
            refuse_other_version(int(file[VERSION]), path)
            stored = set(file.files) - {VERSION}
            return {case: file[case] for case in (sorted(stored) if cases is None else cases) if case in stored}
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise RecordError(f"{path}: damaged ({error}); delete it, or run the run again") from None
