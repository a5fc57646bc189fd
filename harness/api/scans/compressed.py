"""Bytes of a file that may be compressed: never more than its header asks for, and check sums read to the end."""

import bz2
import gzip
import io
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol

Packing = Literal["none", "gzip", "bzip2"]


class Stream(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; fewer at the end alone."""


Opener = Callable[[io.BytesIO], AbstractContextManager[Stream]]

MOST_GROWTH = 50_000
"""A bit more than what a byte becomes at most: 1032 with deflate, 46,000 with bzip2."""

METHODS: dict[Packing, tuple[Opener, int]] = {
    "none": (lambda stream: stream, 1),
    "gzip": (lambda stream: gzip.GzipFile(fileobj=stream), 1_100),
    "bzip2": (bz2.BZ2File, MOST_GROWTH),
}
"""How to open each, and what a byte of it can become."""

MOST_BYTES = 1 << 32
"""Of the voxels of one file: 1024 x 1024 x 1024 of four bytes."""

SPARE_BYTES = 16
"""Bytes after the voxels that are passed over: padding, or the end of a line."""

GZIP_START = b"\x1f\x8b"
GZIP_WINDOW = 31


def file_bytes(path: Path) -> bytes:
    """The content of a regular file. Raises `OSError` for anything else, which might never end."""
    require_regular(path)
    return path.read_bytes()


def require_regular(path: Path) -> None:
    """Raise `OSError` for a device, a pipe or a socket; what is absent or a folder is for the reader to find."""
    if not (path.is_file() or path.is_dir()) and path.exists():
        raise OSError(f"{path.name} is a device, a pipe or a socket and no file")


def packing_of(raw: bytes) -> Packing:
    """How a file is compressed, by its content: names are often wrong."""
    return "gzip" if raw.startswith(GZIP_START) else "none"


def first_bytes(raw: bytes, count: int) -> bytes:
    """The first bytes of a file's content."""
    if packing_of(raw) == "none":
        return raw[:count]
    return zlib.decompressobj(GZIP_WINDOW).decompress(raw, count)


def content_of(raw: bytes, wanted: int, packing: Packing) -> bytes:
    """The content of `raw`, decompressed and compared with its check sums; wanted: bytes that the header asks for.

    Raises `EOFError` where there are fewer, `ValueError` where there are more, so that header and voxels are not of one
    volume, and what gzip, zlib or bz2 say of damage.
    """
    opener, growth = METHODS[packing]
    require_possible(len(raw), wanted, growth)
    with opener(io.BytesIO(raw)) as stream:
        content = stream.read(wanted + SPARE_BYTES + 1)
    if len(content) < wanted:
        raise EOFError(f"{len(content):,} bytes, its header asks for {wanted:,}")
    if len(content) > wanted + SPARE_BYTES:
        raise ValueError(f"it holds more than the {wanted:,} bytes that its header asks for")
    return content


def require_possible(held: int, wanted: int, growth: int) -> None:
    """Before memory is asked for: `EOFError` if so few bytes cannot hold it, `ValueError` if it is no scan's size."""
    if wanted > growth * held + SPARE_BYTES:
        raise EOFError(f"its header asks for {wanted:,} bytes, the {held:,} in the file cannot hold them")
    if wanted > MOST_BYTES:
        raise ValueError(f"its header asks for {wanted:,} bytes, more than the {MOST_BYTES:,} of the largest scan")
