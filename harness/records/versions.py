"""Records of other versions of the harness are refused by name. There are no migrations: each version reads its own."""

from __future__ import annotations

from pathlib import Path

from harness.api.errors import RecordError
from harness.records.schema import SCHEMA

FIRST_VERSION = "0.1.0"
"""The version that wrote and reads schema 1: units/ in place of runs/, looks in place of validations."""


def refuse_other_version(version: object, path: Path | str) -> None:
    """Raise `RecordError` for a schema that is not this version's. A value that is no integer is not judged."""
    if not isinstance(version, int) or isinstance(version, bool) or version == SCHEMA:
        return
    if version > SCHEMA:
        raise RecordError(
            f"{path}: schema_version {version} was written by a newer version of the harness; this one reads {SCHEMA}. "
            "Update the harness to read it."
        )
    raise RecordError(f"{path}: schema_version {version} was {written_before()}")


def written_before() -> str:
    """The end of a sentence about a record of the first version."""
    return f"written by harness {FIRST_VERSION}, which reads it; this version reads schema {SCHEMA} alone"
