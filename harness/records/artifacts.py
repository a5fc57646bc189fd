"""What a run leaves beside its numbers, for people.

arrays.npz:       small ones that a method leaves for figures.
predictions.npz:  the label maps that a run predicted on the test cases, one array for each case; no scan.
figures/NAME.png: what its method drew when training ended; each holds its caption.
"""

import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api.errors import RecordError
from harness.records.files import (
    read_content,
    read_errors,
    refuse_other_than_file,
    refuse_other_version,
    write_atomic,
    write_bytes,
)
from harness.records.schema import SCHEMA

MAX_BYTES = 1_000_000
"""Limit of arrays.npz, and of all figures: room for features of a few hundred pixels, not for weights or scans."""

MAX_LABEL_BYTES = 4_000_000_000
"""Limit of all label maps, unpacked: room for several test sets of whole volumes, but not for all of the memory."""

MAX_PIXELS = 20_000_000
"""Limit of one figure: a small file can hold a picture that fills the memory when it is opened."""

MAX_CAPTION = 300
"""Characters."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
CAPTION = "Title"
"""Key of the caption among the texts of a PNG; the PNG specification defines it as a short title."""

VERSION = "schema_version"

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_UNUSUAL = (NotImplementedError, RuntimeError, OverflowError, MemoryError)
"""What zipfile and numpy raise for ways of packing that they do not know, encrypted members, and absurd headers."""

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


def read_arrays(content: bytes, path: Path, most_bytes: int, names: Iterable[str] | None = None) -> dict[str, Array]:
    """The arrays of a file's content by name: of all, or of those wanted names that are there.

    Raises `RecordError` for a file that is damaged, foreign, of another version, or of more than `most_bytes` unpacked.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            declared = sum(member.file_size for member in archive.infolist())
        if declared > most_bytes:
            raise RecordError(f"{path}: {declared:,} bytes are more than a record of arrays holds")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            for member in file.zip.infolist():
                _refuse_absurd(file.zip, member)
            refuse_other_version(int(file[VERSION]), path)
            stored = [name for name in file.files if name != VERSION]
            return {name: file[name] for name in (stored if names is None else names) if name in stored}
    except (OSError, EOFError, ValueError, TypeError, KeyError, zlib.error, zipfile.BadZipFile, *_UNUSUAL) as error:
        raise RecordError(f"{path}: not a record of arrays; it may be damaged ({error})") from None


def _refuse_absurd(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """A header may promise other bytes than there are, and numpy would make room for them."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _READERS:
            raise ValueError(f"{member.filename} is of version {version} of the format")
        shape, _, dtype = _READERS[version](stream)
        promised = stream.tell() + math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biuf" or min(shape, default=0) < 0 or promised != member.file_size:
        raise ValueError(f"{member.filename} is no array of numbers, or its header is of another one")


@dataclass(frozen=True)
class Figure:
    """A stored picture: content of the file, and the method's caption."""

    name: str
    png: bytes
    caption: str


def refuse_unfit(figures: Mapping[str, bytes]) -> None:
    """Raise `ValueError` where a name is no file name, a figure is no PNG, or all are too large."""
    total = sum(map(len, figures.values()))
    if total > MAX_BYTES:
        raise ValueError(f"figures of {total:,} bytes are more than a record holds ({MAX_BYTES:,})")
    for name, png in figures.items():
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a figure: use small letters, digits, - and _")
        caption_of(png)


def caption_of(png: bytes) -> str:
    """The caption of a PNG, or "". Raises `ValueError` where the bytes are no whole PNG."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels are more than a figure holds")
            caption = str(image.info.get(CAPTION, ""))
            image.verify()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a PNG ({error})") from None
    return caption[:MAX_CAPTION]


def write_figures(folder: Path, figures: Mapping[str, bytes]) -> None:
    """Write FOLDER/NAME.png atomically. Raises as `refuse_unfit`, and `DiskError`."""
    refuse_unfit(figures)
    for name, png in figures.items():
        write_bytes(folder / f"{name}.png", png)


def _size(path: Path) -> int:
    with read_errors(path):
        return refuse_other_than_file(path)


def read_figures(folder: Path) -> tuple[Figure, ...]:
    """The figures in a folder, in the order of their names; none without the folder.

    Raises `RecordError` for a file that is no PNG or has another name, or where all are too large.
    """
    paths = sorted(folder.glob("[!.]*"))
    total = sum(map(_size, paths))
    if total > MAX_BYTES:
        raise RecordError(f"{folder}: {total:,} bytes are more than the figures of a run hold ({MAX_BYTES:,})")
    figures = []
    for path in paths:
        try:
            if path.suffix != ".png" or not NAME.fullmatch(path.stem):
                raise ValueError("not a name of a figure")
            png = read_content(path)
            figures.append(Figure(path.stem, png, caption_of(png) or path.stem))
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: not a figure of a run; it may be damaged ({error})") from None
    return tuple(figures)
