"""Files as they lie on people's disks: lists with a byte order mark, a folder of a file's name around the file."""

import codecs
import filecmp
import gzip
from collections.abc import Sequence
from pathlib import Path

from harness.api.errors import DataError
from harness.api.reading import reading

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
"""Byte order marks that editors put before a text, and what follows them."""


def text_of(path: Path) -> str:
    """The text of a small file, without its byte order mark. Raises `DataError` if it cannot be read."""
    with reading(path):
        content = path.read_bytes()
    mark, encoding = next((pair for pair in MARKS if content.startswith(pair[0])), (b"", "utf-8"))
    return content[len(mark) :].decode(encoding, errors="replace")


def inside(path: Path) -> Path:
    """The file at `path`; if a folder lies there, the one file in it, as some programs unpack archives.

    Raises `DataError` for a folder that holds none or several.
    """
    if not path.is_dir():
        return path
    with reading(path):
        files = [child for child in path.iterdir() if child.is_file() and not child.name.startswith(".")]
    if len(files) != 1 or files[0].name not in (path.name, path.name.removesuffix(".gz")):
        raise DataError(f"{path}: is a folder that does not hold the one file of that name; put the file in its place")
    return files[0]


def only_one(paths: Sequence[Path], what: str) -> Path:
    """The file among several that claim to be the same, if they hold the same. Raises `DataError` if they do not."""
    files = [inside(path) for path in paths]
    if any(not _same(files[0], other) for other in files[1:]):
        raise DataError(
            f"{' and '.join(map(str, files))}: different files for one {what}; find out which is right and move the "
            "other to another folder"
        )
    return files[0]


def _same(first: Path, second: Path) -> bool:
    if filecmp.cmp(first, second, shallow=False):
        return True
    contents = []
    for path in (first, second):
        with reading(path):
            raw = path.read_bytes()
            contents.append(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    return contents[0] == contents[1]
