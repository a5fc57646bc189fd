"""Folder layouts in which the field keeps its scans, read into cases."""

from __future__ import annotations

from pathlib import Path

from harness.api.dataset import Case, CaseSource, Split
from harness.api.errors import DataError


def contains(root: Path, pattern: str) -> bool:
    """Whether anything in `root` matches a glob pattern."""
    return next(root.glob(pattern), None) is not None


def broken(id_: str, patient: str, split: Split, path: Path, *problems: str) -> CaseSource:
    """A source that cannot be read, so that its problems are reported together with all others."""

    def load() -> Case:
        raise DataError("\n".join(problems))

    return CaseSource(id_, patient, split, path, load)
