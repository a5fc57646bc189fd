"""One run's folder: its settings, what it spent, how it went, and its results."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness.api.errors import RecordError
from harness.records.append_only import parse_lines
from harness.records.artifacts import (
    MAX_BYTES,
    MAX_LABEL_BYTES,
    Array,
    Figure,
    read_arrays,
    read_figures,
    refuse_large,
    write_arrays,
    write_figures,
)
from harness.records.case_file import pack_cases
from harness.records.checksums import agrees, open_line, seal_line, short_sha256
from harness.records.files import is_there, read_content, read_record, write_bytes, write_record
from harness.records.lease import Lease
from harness.records.ledger import Ledger, LedgerLine
from harness.records.schema import Environment, Result, Run, Validation

if TYPE_CHECKING:
    import pandas as pd

    from harness.api.dataset import LabelMap

WRITTEN = (
    *("checkpoint.pt", "validations.jsonl", "history.parquet", "cases.parquet", "predictions.npz", "arrays.npz"),
    *("final.json", "weights.pt", "error.txt", "ledger.jsonl", "result.json"),
)
"""Files of a run that are written atomically by whoever holds its lease."""

ENDED_FILES = (
    *("ledger.jsonl", "cases.parquet", "history.parquet", "predictions.npz", "arrays.npz", "final.json"),
    "weights.pt",
)
"""Files of a run that has ended, beside run.json, result.json and what lies in its folders."""
ENDED_FOLDERS = {"history": "*.parquet", "figures": "*.png"}


class DamagedRecordError(RecordError):
    """A checkpoint or a part of the history of an unfinished run is not what was written: it starts again."""


class RunFolder:
    """`runs/<id>/` of a run directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.lease = Lease(path / "lease")
        self.ledger = Ledger(path / "ledger.jsonl")
        self.checkpoint = path / "checkpoint.pt"
        """Resume point; holds method, optimiser, generators, sampler, meter and the best validation's weights."""
        self.final = path / "final.json"
        """Records that the weights can no longer change. Without it the test split stays closed."""
        self.weights = path / "weights.pt"
        """The tested network's last weights, for new scans; `harness clean --weights` deletes it."""
        self.log = path / "log.txt"
        self._predictions = path / "predictions.npz"
        self._checksums: Mapping[str, str] | None = None

    @cached_property
    def run(self) -> Run:
        run = read_record(self.path / "run.json", Run)
        if run.id != self.id:
            raise RecordError(f"{self.path / 'run.json'}: its content has the id {run.id[:10]}, not the folder's")
        return run

    @property
    def done(self) -> bool:
        return is_there(self.path / "result.json")

    def remove_temporary_files(self) -> None:
        """Remove what a killed process left half written. Only for the owner of the lease."""
        for pattern in (*(f".{name}.*" for name in WRITTEN), "history/.*", "figures/.*"):
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)

    def to_write(self, name: str) -> Path:
        """Path of a file or folder of it that is about to be written.

        Raises:
            LeaseLostError: the run is another's, or its folder was removed or renamed: it is never made anew.
        """
        self.lease.check()
        return self.path / name

    def create(self, run: Run) -> None:
        """Record its settings; where they are on record, which calibration says its steps now, which are the same."""
        if not is_there(self.path / "run.json") or (run.calibration and run.calibration != self.run.calibration):
            write_record(self.path / "run.json", run)
            vars(self).pop("run", None)

    def result(self) -> Result | None:
        """How it ended. None while it has not."""
        return self.require_result() if self.done else None

    def require_result(self) -> Result:
        result = read_record(self.path / "result.json", Result)
        if result.run != self.id:
            raise RecordError(f"{self.path / 'result.json'}: is of run {result.run[:10]}, not of the folder's")
        self._checksums = result.files
        return result

    def write_result(self, result: Result) -> Result:
        """Declare the run done, with the checksums of its other files. Returns what is on record."""
        files = {
            path.relative_to(self.path).as_posix(): short_sha256(read_content(path)) for path in self.ended_files()
        }
        complete = result.model_copy(update={"files": files})
        write_record(self.to_write("result.json"), complete)
        self._checksums = files
        return complete

    def ended_files(self) -> list[Path]:
        """Files of a run that has ended, beside run.json and result.json."""
        inside = [path for folder, names in ENDED_FOLDERS.items() for path in sorted((self.path / folder).glob(names))]
        return [*(path for name in ENDED_FILES if is_there(path := self.path / name)), *inside]

    def content(self, name: str) -> bytes:
        """Content of one of its files, as result.json knows it where the run has ended.

        Raises:
            RecordError: it is missing, or has another checksum.
            DiskError: it cannot be read.
        """
        content = read_content(self.path / name)
        if not self.done:
            return content
        checksums = self.require_result().files if self._checksums is None else self._checksums
        if not agrees(content, checksums.get(name, "")):
            raise RecordError(
                f"{self.path / name}: its checksum is not the one in result.json: it is damaged, or was written later. "
                "Get it from a copy, or delete result.json to train the run again"
            )
        return content

    def ledger_lines(self) -> list[LedgerLine]:
        """What it spent, line by line. Raises `RecordError` for a damaged line."""
        path = self.ledger.path
        return parse_lines(self.content(path.name), path, LedgerLine) if is_there(path) else []

    def write_validations(self, validations: Sequence[Validation]) -> None:
        """Record the validations so far. In the end result.json has them all."""
        lines = [seal_line(validation.model_dump_json()) for validation in validations]
        write_bytes(self.to_write("validations.jsonl"), b"".join(lines))

    def validations(self) -> list[Validation]:
        result = self.result()
        if result is not None:
            return result.validations
        path = self.path / "validations.jsonl"
        opened = [open_line(line) for line in read_content(path).splitlines(keepends=True)] if is_there(path) else []
        try:
            return [Validation.model_validate_json(line or b"") for line in opened]
        except ValidationError:
            raise RecordError(f"{path}: a line is damaged: its checksum is not that of its content") from None

    def reopen(self) -> None:
        """Forget a failure so that the run runs again; the ledger keeps what was spent."""
        (self.path / "result.json").unlink(missing_ok=True)

    def write_environment(self, environment: Environment) -> str:
        """Store the compared fields of an environment once for all runs. Returns its fingerprint."""
        path = self.path.parent.parent / "environments" / f"{environment.fingerprint}.json"
        if not is_there(path):
            self.lease.check()
            write_record(path, environment.model_copy(update={"shown": {}}))
        return environment.fingerprint

    def write_cases(self, cases: pd.DataFrame) -> None:
        """Per-case records: one row per checkpoint rule, case and class."""
        write_bytes(self.to_write("cases.parquet"), pack_cases(cases))

    def write_predictions(self, labels: Mapping[str, LabelMap]) -> None:
        """Predictions of the `last` weights on the test cases: case id -> [Z, H, W] at native resolution."""
        write_arrays(self.to_write(self._predictions.name), labels, compressed=True)

    @property
    def has_predictions(self) -> bool:
        return is_there(self._predictions)

    def predictions(self, cases: Iterable[str] | None = None) -> dict[str, LabelMap]:
        """Predicted label maps by case id: of those of `cases` on record, or of all."""
        path = self._predictions
        return read_arrays(self.content(path.name), path, MAX_LABEL_BYTES, cases) if self.has_predictions else {}

    def write_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Small named arrays for figures. Raises `ValueError` for arrays that are too large."""
        refuse_large(arrays)
        write_arrays(self.to_write("arrays.npz"), arrays)

    def arrays(self) -> dict[str, Array]:
        """Arrays that the method left for figures, by name. May be empty."""
        path = self.path / "arrays.npz"
        return read_arrays(self.content(path.name), path, 2 * MAX_BYTES) if is_there(path) else {}

    def write_figures(self, figures: Mapping[str, bytes]) -> None:
        """PNG files by name. Raises `ValueError` for a file that is no figure of a run."""
        write_figures(self.to_write("figures"), figures)

    def figures(self) -> tuple[Figure, ...]:
        """Figures that the method drew. May be empty."""
        figures = read_figures(self.path / "figures")
        for figure in figures:
            self.content(f"figures/{figure.name}.png")
        return figures

    def history(self) -> pd.DataFrame:
        """Losses, schedules and progress by step, in order. Empty before the first checkpoint."""
        import pandas as pd

        merged = self.path / "history.parquet"
        files = [merged] if is_there(merged) else self.history_parts()
        try:
            parts = [pd.read_parquet(io.BytesIO(self.content(str(file.relative_to(self.path))))) for file in files]
        except (OSError, ValueError) as error:
            raise RecordError(f"{self.path}: a history is damaged: {error}") from None
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def write_history_part(self, next_step: int, part: pd.DataFrame) -> None:
        """Rows of the steps since the last part, up to `next_step`."""
        content = part.to_parquet(index=False)
        write_bytes(self.to_write("history") / f"{next_step:09d}-{zlib.crc32(content):08x}.parquet", content)

    def history_parts(self) -> list[Path]:
        """history/<next step>-<CRC-32>.parquet in the order of steps. Raises `DamagedRecordError`."""
        parts = sorted((self.path / "history").glob("*.parquet"))
        for part in parts:
            if not part.stem.endswith(f"-{zlib.crc32(read_content(part)):08x}"):
                raise DamagedRecordError(f"{part}: its checksum is not the one in its name; it is damaged")
        return parts
