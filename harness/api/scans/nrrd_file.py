"""An NRRD file: header and voxels with pynrrd, decompressed here up to the last check sum.

pynrrd drops letters that are no ASCII, so that "\u00b5m" would come out as metres, and stops before gzip's check sum.
"""

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.api.errors import DataError
from harness.api.reading import reading
from harness.api.scans.compressed import Packing, content_of, file_bytes, require_possible
from harness.api.scans.geometry import Geometry, Header, Steps, geometry_of

TEXT = frozenset({"ascii", "ASCII", "text", "txt"})
PACKINGS: Mapping[str, Packing] = {"raw": "none", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
TOWARDS = {
    "right": (0, 1),
    "left": (0, -1),
    "anterior": (1, 1),
    "posterior": (1, -1),
    "superior": (2, 1),
    "inferior": (2, -1),
}
"""Coordinate (right, anterior, superior) and sign of each word that the name of a space is made of."""

LETTERS = {word[0]: word for word in TOWARDS}
FLAT = 1e-3
"""Volume that three steps of length 1 span at most if they lie in a plane."""


def read_nrrd(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Voxels [X, Y, Z] and where they lie. Raises `DataError` with the file for whatever is wrong with it."""
    with reading(path):
        header, rest = _split(file_bytes(path))
        voxels = _voxels(path, header, rest)
        if voxels.ndim != 3:
            raise DataError(f"{path}: has {voxels.ndim} axes; a volume has three")
        return voxels, geometry_of(_fields(path, header))


def nrrd_header(path: Path) -> dict[str, Any]:
    """The fields of a file's header. Raises `DataError` with the file where it has none."""
    with reading(path):
        return _split(file_bytes(path))[0]


def _split(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the bytes behind its empty line."""
    import nrrd

    if not raw:
        raise EOFError("0 bytes")
    stream, lines = io.BytesIO(raw), []
    for line in stream:
        if not line.strip():
            break
        lines.append(_text(line))
    return dict(nrrd.read_header(lines)), raw[stream.tell() :]


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _voxels(path: Path, header: dict[str, Any], rest: bytes) -> NDArray[Any]:
    """The array in the order of the header's sizes, from what follows the header or from the file that it names."""
    import nrrd

    name = header.pop("data file", header.pop("datafile", None))
    if name is not None:
        if name.startswith("LIST") or "%" in name:
            raise ValueError("its voxels lie in several files, which this reader does not put together")
        rest = file_bytes(path.parent / name)
    stream = io.BytesIO(rest)
    for _ in range(header.pop("line skip", header.pop("lineskip", 0))):
        stream.readline()
    rest, encoding = stream.read(), header["encoding"]
    if encoding in TEXT:
        require_possible(len(rest), _count(header), 1)
        return np.asarray(nrrd.read_data(header, io.BytesIO(rest)))
    if encoding not in PACKINGS:
        raise ValueError(f"its encoding is {encoding}")
    skip = max(header.get("byte skip", header.get("byteskip", 0)), 0)
    content = content_of(rest, _count(header) * _item_bytes(header) + skip, PACKINGS[encoding])
    return np.asarray(nrrd.read_data({**header, "encoding": "raw"}, io.BytesIO(content)))


def _count(header: Mapping[str, Any]) -> int:
    sizes = [int(side) for side in header["sizes"]]
    if min(sizes) < 1:
        raise ValueError(f"its header says {len(sizes)} axes of {sizes} voxels")
    return math.prod(sizes)


def _item_bytes(header: Mapping[str, Any]) -> int:
    """Bytes of a voxel, as pynrrd reads an array of none."""
    import nrrd

    empty = {**header, "encoding": "raw", "dimension": 1, "sizes": np.zeros(1, np.int64)}
    return int(nrrd.read_data({**empty, "byte skip": 0}, io.BytesIO()).dtype.itemsize)


def _fields(path: Path, header: Mapping[str, Any]) -> Header:
    """From `space directions`, or `spacings` where the file has none."""
    steps, sizes = header.get("space directions"), header.get("spacings")
    units = header.get("space units") or header.get("units") or [""]
    unit = units[0] if len({word.strip() for word in units}) == 1 else " and ".join(units)
    space = str(header.get("space", ""))
    turn = _towards_patient(space)
    return Header(
        path=path,
        shape=tuple(int(side) for side in header["sizes"]),
        field="spacings" if steps is None else "space directions",
        sizes=None if sizes is None else _three(sizes),
        steps=None if steps is None else _steps(np.asarray(steps, np.float64), path) @ turn,
        origin=None if header.get("space origin") is None else _three(header["space origin"]) @ turn,
        unit=unit.strip(),
        stated=bool(unit.strip()),
        space="patient" if _axes(space) else space,
    )


def _steps(steps: Steps, path: Path) -> Steps:
    if steps.shape == (3, 3) and np.isfinite(steps).all() and steps.any(axis=1).all():
        lengths = np.linalg.norm(steps, axis=1, keepdims=True)
        if abs(np.linalg.det(steps / lengths)) > FLAT:
            return steps
    raise DataError(f"{path}: space directions are not three independent steps; mend the header")


def _three(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.shape != (3,):
        raise ValueError(f"its header gives {array.size} numbers where a volume has three")
    return array


def _axes(space: str) -> list[tuple[int, int]]:
    """Coordinate and sign of each axis of a space that follows the patient; empty for another."""
    words = space.lower().removesuffix("-time").split("-")
    words = [LETTERS.get(letter, "") for letter in words[0][:3]] if len(words) == 1 else words
    axes = [TOWARDS[word] for word in words if word in TOWARDS]
    return axes if sorted(axis for axis, _ in axes) == [0, 1, 2] else []


def _towards_patient(space: str) -> NDArray[np.float64]:
    """What turns a row in this space into one in (right, anterior, superior); nothing for an unknown space."""
    turn = np.zeros((3, 3))
    for row, (axis, sign) in enumerate(_axes(space) or [(0, 1), (1, 1), (2, 1)]):
        turn[row, axis] = sign
    return turn
