"""Folder layouts in which the field keeps its scans, read into cases."""

from collections.abc import Callable, Iterable
from pathlib import Path

from harness.api.dataset import Case, CaseSource, Split
from harness.api.errors import DataError
from harness.api.reading import reading


def contains(root: Path, pattern: str) -> bool:
    """Whether anything in `root` matches a glob pattern."""
    return next(root.glob(pattern), None) is not None


def broken(id_: str, patient: str, split: Split, path: Path, *problems: str) -> CaseSource:
    """A source that cannot be read, so that its problems are reported together with all others."""

    def load() -> Case:
        raise DataError("\n".join(problems))

    return CaseSource(id_, patient, split, path, load)


def look_for(path: Path, patient: str, split: Split, sources: Callable[[], Iterable[CaseSource]]) -> list[CaseSource]:
    """A patient's sources; one that raises if what holds the files cannot be looked at.

    path: what holds them, for the message.
    """
    try:
        with reading(path):
            return list(sources())
    except DataError as error:
        return [broken(patient, patient, split, path, *str(error).splitlines())]
