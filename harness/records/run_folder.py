"""One run's folder: its settings, what it spent, how it went, and its results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.errors import RecordError
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
from harness.records.files import read_record, write_atomic, write_record, write_text
from harness.records.lease import Lease
from harness.records.ledger import Ledger
from harness.records.schema import Environment, Result, Run, Validation

if TYPE_CHECKING:
    import pandas as pd

    from harness.api.dataset import LabelMap

WRITTEN = (
    *("checkpoint.pt", "validations.jsonl", "history.parquet", "cases.parquet", "predictions.npz", "arrays.npz"),
    *("final.json", "error.txt"),
)
"""Files of a run that are written atomically by whoever holds its lease."""


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
        self.log = path / "log.txt"
        """Output of the run's process, where it had its own."""
        self._predictions = path / "predictions.npz"

    @cached_property
    def run(self) -> Run:
        """The settings of the run."""
        run = read_record(self.path / "run.json", Run)
        if run.id != self.id:
            raise RecordError(f"{self.path / 'run.json'}: its content has the id {run.id[:10]}, not the folder's")
        return run

    @property
    def done(self) -> bool:
        """Whether result.json exists."""
        return (self.path / "result.json").exists()

    def remove_temporary_files(self) -> None:
        """Remove what a killed process left in the middle of a write. Only for the owner of the lease."""
        for pattern in (*(f".{name}.*" for name in WRITTEN), "history/.*", "figures/.*"):
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)

    def create(self, run: Run) -> None:
        """Write run.json unless it is there."""
        if not (self.path / "run.json").exists():
            write_record(self.path / "run.json", run)

    def result(self) -> Result | None:
        """How it ended. None while it has not."""
        return self.require_result() if self.done else None

    def require_result(self) -> Result:
        """How it ended, for a run that has."""
        return read_record(self.path / "result.json", Result)

    def write_result(self, result: Result) -> None:
        """Declare the run done. Written last."""
        write_record(self.path / "result.json", result)

    def write_validations(self, validations: Sequence[Validation]) -> None:
        """Record the validations so far. In the end result.json has them all."""
        write_text(
            self.path / "validations.jsonl", "".join(f"{validation.model_dump_json()}\n" for validation in validations)
        )

    def validations(self) -> list[Validation]:
        """The validations so far."""
        result = self.result()
        if result is not None:
            return result.validations
        path = self.path / "validations.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [Validation.model_validate_json(line) for line in lines]

    def reopen(self) -> None:
        """Forget a failure so that the run runs again; the ledger keeps what was spent."""
        (self.path / "result.json").unlink(missing_ok=True)

    def write_environment(self, environment: Environment) -> str:
        """Store the compared fields of an environment once for all runs. Returns its fingerprint."""
        path = self.path.parent.parent / "environments" / f"{environment.fingerprint}.json"
        if not path.exists():
            write_record(path, environment.model_copy(update={"shown": {}}))
        return environment.fingerprint

    def write_cases(self, cases: pd.DataFrame) -> None:
        """Per-case records: one row per checkpoint rule, case and class."""
        write_atomic(self.path / "cases.parquet", lambda temporary: cases.to_parquet(temporary, index=False))

    def write_predictions(self, labels: Mapping[str, LabelMap]) -> None:
        """Predictions of the `last` weights on the test cases: case id -> [Z, H, W] at native resolution."""
        write_arrays(self._predictions, labels, compressed=True)

    @property
    def has_predictions(self) -> bool:
        """Whether its predicted label maps are on record. A reduced export leaves them out."""
        return self._predictions.exists()

    def predictions(self, cases: Iterable[str] | None = None) -> dict[str, LabelMap]:
        """Predicted label maps by case id: of those of `cases` on record, or of all."""
        return read_arrays(self._predictions, MAX_LABEL_BYTES, cases) if self.has_predictions else {}

    def write_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Small named arrays for figures. Raises `ValueError` for arrays that are too large."""
        refuse_large(arrays)
        write_arrays(self.path / "arrays.npz", arrays)

    def arrays(self) -> dict[str, Array]:
        """Arrays that the method left for figures, by name. May be empty."""
        path = self.path / "arrays.npz"
        return read_arrays(path, 2 * MAX_BYTES) if path.exists() else {}

    def write_figures(self, figures: Mapping[str, bytes]) -> None:
        """PNG files by name. Raises `ValueError` for a file that is no figure of a run."""
        write_figures(self.path / "figures", figures)

    def figures(self) -> tuple[Figure, ...]:
        """Figures that the method drew. May be empty."""
        return read_figures(self.path / "figures")

    def history(self) -> pd.DataFrame:
        """Losses, schedules and progress by step, in order. Empty before the first checkpoint."""
        import pandas as pd

        merged = self.path / "history.parquet"
        files = [merged] if merged.exists() else sorted((self.path / "history").glob("*.parquet"))
        try:
            return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True) if files else pd.DataFrame()
        except (OSError, ValueError) as error:
            raise RecordError(f"{self.path}: a history is missing or damaged: {error}") from None
