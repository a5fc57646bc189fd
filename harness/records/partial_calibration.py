"""calibration.part.json: what an unfinished calibration has measured, so that the same command goes on from there."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.api.strict import Strict, digest
from harness.records.calibration import EntryKey, StageCost
from harness.records.files import is_there, read_record, write_record


class MeasuredEntry(Strict):
    """One entry, as one of the processes measured it.

    process: its number, from 0.
    entry:   digest of the cost key.
    """

    process: int
    entry: str
    stages: tuple[StageCost, ...] = Field(min_length=1)


class PartialCalibration(Strict):
    """What is measured so far. key: digest of the task, the settings and the device."""

    schema_version: Literal[2] = 2
    key: str
    entries: tuple[MeasuredEntry, ...] = ()


class Unfinished:
    """Keeps what the processes of a calibration have measured, entry by entry."""

    def __init__(self, path: Path | None, key: str) -> None:
        """Take up what is on record with the same key. path: None keeps it in memory alone."""
        self._path = path
        self._content = PartialCalibration(key=key)
        if path is not None and is_there(path):
            recorded = read_record(path, PartialCalibration)
            self._content = recorded if recorded.key == key else self._content

    def stages(self, process: int, key: EntryKey) -> tuple[StageCost, ...] | None:
        """What a process measured of an entry. None where it did not come to it."""
        own = process, _digest(key)
        return next((each.stages for each in self._content.entries if (each.process, each.entry) == own), None)

    def keep(self, process: int, key: EntryKey, stages: tuple[StageCost, ...]) -> tuple[StageCost, ...]:
        """Record what a process has just measured, and return it."""
        entry = MeasuredEntry(process=process, entry=_digest(key), stages=stages)
        self._content = self._content.model_copy(update={"entries": (*self._content.entries, entry)})
        if self._path is not None:
            write_record(self._path, self._content, indent=None)
        return stages

    def discard(self) -> None:
        """Delete the file: the calibration is complete."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _digest(key: EntryKey) -> str:
    return digest(key.model_dump(mode="json"))
