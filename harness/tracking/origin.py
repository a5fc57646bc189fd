"""Who owns which runs: two run directories never touch each other's runs, whatever their suites are called.

Two people who track suites of one name to one server share its experiment, and each keeps a suite run of their own with
everything below it. They differ in the id in `tracking.json`, drawn when a run directory is tracked for the
first time: it moves and is copied with the directory, so a copy goes on with the same runs, and it is not exported, so
imported records are tracked as another set. Whoever deletes it, or the directory, leaves the old runs behind as
somebody else's; they can be deleted in MLflow.
"""

from __future__ import annotations

import uuid
from typing import Literal

from harness.api.errors import DiskError
from harness.api.strict import Strict, digest
from harness.records.files import read_record, write_record
from harness.records.reader import SuiteRecords

ORIGIN_TAG = "harness.origin"
ID_LENGTH = 12


class Origin(Strict):
    """tracking.json of a run directory."""

    schema_version: Literal[2] = 2
    id: str


def origin_id(records: SuiteRecords) -> str:
    """The id of a run directory, drawn at first use.

    Records of somebody else that may only be read, and were never tracked, are known by where they lie.
    """
    path = records.root / "tracking.json"
    if not path.exists():
        try:
            write_record(path, Origin(id=uuid.uuid4().hex[:ID_LENGTH]))
        except DiskError:
            return digest(str(records.root.resolve()))[:ID_LENGTH]
    return read_record(path, Origin).id
