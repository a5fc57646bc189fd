"""Where a dataset lies, and whether it changed since it was prepared."""

import hashlib
import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import harness.api.scans
from harness.api.dataset import Dataset
from harness.api.strict import digest

CACHE_FORMAT = 2
"""Raised when the files of a cache change, or the checks that scans pass before they are in one, so that no old cache
is taken for a new one."""

SCANS = Path(harness.api.scans.__file__).parent


def locate(dataset: Dataset, root: Path) -> tuple[Path, str] | None:
    """Folder and layout of `dataset`: `root` itself or a folder in it of its name, in any case."""
    name = (dataset.folder or dataset.name).lower()
    namesakes = sorted(child for child in root.iterdir() if child.name.lower() == name and child.is_dir())
    for folder in (root, *namesakes):
        layout = dataset.recognise(folder)
        if layout is not None:
            return folder, layout
    return None


def cache_name(dataset: Dataset, folder: Path | None) -> str:
    """Folder name of the cache that belongs to the present state of `folder`.

    Made of the dataset, its splits, the code that reads it and the paths, sizes and times of all source files.
    """
    fingerprint = digest(
        {
            "format": CACHE_FORMAT,
            "classes": list(dataset.classes),
            "splits": {split: list(patients) for split, patients in dataset.splits.items()},
            "reader": _reader_sha256(dataset),
            "files": None if folder is None else _files(folder.resolve()),
        }
    )
    return f"{dataset.name}-v{dataset.version}-{fingerprint[:16]}"


def _reader_sha256(dataset: Dataset) -> str:
    """Of the code that defines the dataset, of the packages beside it, and of ours that reads scans.

    Beside a module of no package lies whatever else is installed, which does not count.
    """
    hasher = hashlib.sha256()
    for cls in (cls for cls in type(dataset).__mro__ if issubclass(cls, Dataset)):
        try:
            file = Path(inspect.getfile(cls))
            beside = sorted(file.parent.glob("*/**/*.py")) if "." in cls.__module__ else []
            for path in (file, *beside, *sorted(SCANS.glob("*.py"))):
                hasher.update(path.read_bytes())
        except (OSError, TypeError):  # made at a prompt, or frozen: it has no file
            hasher.update(cls.__qualname__.encode())
    return hasher.hexdigest()


def _files(folder: Path) -> list[str]:
    return sorted(f"{path}:{stat.st_size}:{stat.st_mtime_ns}" for path, stat in _walk(folder, set()))


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below `folder`, links followed, each real folder once."""
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(Path(entry.path), seen)
            else:  # a dangling link counts as itself
                yield entry.path, entry.stat(follow_symlinks=entry.is_file())
