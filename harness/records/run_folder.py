"""One run's folder: what was asked, what it spent, how it went, what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.errors import RecordError
from harness.records.files import read_record, write_atomic, write_record, write_text
from harness.records.lease import Lease
from harness.records.ledger import Ledger
from harness.records.predictions import pack, unpack
from harness.records.schema import Environment, Result, Run, Validation

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from harness.api.dataset import LabelMap
    from harness.records.arrays import Array
    from harness.records.figures import Figure

WRITTEN = (
    *("checkpoint.pt", "validations.jsonl", "history.parquet", "cases.parquet", "predictions.npz", "arrays.npz"),
    *("final.json", "error.txt"),
)
"""Files of a run that are written atomically by whoever holds its lease."""


class RunFolder:
    """`runs/<id>/` of a run directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        """The run's id, which is the folder's name."""
        return self.path.name

    @cached_property
    def run(self) -> Run:
        """What was asked."""
        run = read_record(self.path / "run.json", Run)
        if run.id != self.id:
            raise RecordError(f"{self.path / 'run.json'}: its content has the id {run.id[:10]}, not the folder's")
        return run

    @property
    def checkpoint(self) -> Path:
        """Resume point; holds method, optimiser, generators, sampler, meter and the best validation's weights."""
        return self.path / "checkpoint.pt"

    @property
    def final(self) -> Path:
        """Says that the weights can no longer change; without it the test split stays closed."""
        return self.path / "final.json"

    @property
    def log(self) -> Path:
        """What the run's process printed, where it ran in a process of its own."""
        return self.path / "log.txt"

    @property
    def ledger(self) -> Ledger:
        """What it spent."""
        return Ledger(self.path / "ledger.jsonl")

    @property
    def lease(self) -> Lease:
        """Who runs it."""
        return Lease(self.path / "lease")

    @property
    def done(self) -> bool:
        """Whether result.json exists."""
        return (self.path / "result.json").exists()

    def tidy(self) -> None:
        """Remove temporary files that a killed process left in the middle of a write. For the lease's owner alone."""
        for pattern in (*(f".{name}.*" for name in WRITTEN), "history/.*", "figures/.*"):
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)

    def create(self, run: Run) -> None:
        """Write run.json unless it is there."""
        if not (self.path / "run.json").exists():
            write_record(self.path / "run.json", run)

    def result(self) -> Result | None:
        """How it ended, None while it has not."""
        path = self.path / "result.json"
        return read_record(path, Result) if path.exists() else None

    def write_result(self, result: Result) -> None:
        """Declare the run done. Written last."""
        write_record(self.path / "result.json", result)

    def write_validations(self, validations: Sequence[Validation]) -> None:
        """The validations so far, for those who watch; result.json has them all in the end."""
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

    def environment(self) -> Environment | None:
        """The environment of the result, with what is shown of the run that ended it; None without one."""
        result = self.result()
        if result is None or not result.environment:
            return None
        path = self.path.parent.parent / "environments" / f"{result.environment}.json"
        environment = read_record(path, Environment)
        return environment.model_copy(update={"shown": result.shown}) if result.shown else environment

    def write_environment(self, environment: Environment) -> str:
        """Store what is compared of an environment beside the runs, shared by all of them; its fingerprint."""
        path = self.path.parent.parent / "environments" / f"{environment.fingerprint}.json"
        if not path.exists():
            write_record(path, environment.model_copy(update={"shown": {}}))
        return environment.fingerprint

    def write_cases(self, cases: pd.DataFrame) -> None:
        """Per-case records: one row per selection, case and class."""
        write_atomic(self.path / "cases.parquet", lambda temporary: cases.to_parquet(temporary, index=False))

    def cases(self) -> pd.DataFrame:
        """Per-case records of a finished run; columns as in `harness.evaluation.evaluate`."""
        import pandas as pd

        return pd.read_parquet(self.path / "cases.parquet")

    def cases_table(self) -> pa.Table:
        """`cases` as an arrow table: read several times faster, for those who join the cases of thousands of runs."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path / "cases.parquet", pre_buffer=False) as file:
            return file.read(use_threads=False)

    def write_predictions(self, labels: Mapping[str, LabelMap]) -> None:
        """What the `last` weights predicted on the test cases: case id -> [Z, H, W] at native resolution."""
        write_atomic(self._predictions, lambda temporary: pack(temporary, labels))

    @property
    def has_predictions(self) -> bool:
        """Whether its predicted label maps are on record; early versions kept none."""
        return self._predictions.exists()

    @property
    def _predictions(self) -> Path:
        return self.path / "predictions.npz"

    def predictions(self, cases: Iterable[str] | None = None) -> dict[str, LabelMap]:
        """The label maps of those of `cases` (None: of all) that are there."""
        return unpack(self._predictions, cases) if self.has_predictions else {}

    def write_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Small named arrays to be drawn; `ValueError` for what is too large to be a record."""
        from harness.records.arrays import write_arrays

        write_arrays(self.path / "arrays.npz", arrays)

    def arrays(self) -> dict[str, Array]:
        """What the method left to be drawn, by name; empty for a method that leaves nothing."""
        from harness.records.arrays import read_arrays

        path = self.path / "arrays.npz"
        return read_arrays(path) if path.exists() else {}

    def write_figures(self, figures: Mapping[str, bytes]) -> None:
        """PNG files by name; `ValueError` for what is no figure of a run."""
        from harness.records.figures import write_figures

        write_figures(self.path / "figures", figures)

    def figures(self) -> tuple[Figure, ...]:
        """What the method drew of itself; empty for a method that draws nothing."""
        from harness.records.figures import read_figures

        return read_figures(self.path / "figures")

    def history(self) -> pd.DataFrame:
        """Losses, schedules and progress by step, in order; empty before the first checkpoint."""
        import pandas as pd

        merged = self.path / "history.parquet"
        files = [merged] if merged.exists() else sorted((self.path / "history").glob("*.parquet"))
        return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True) if files else pd.DataFrame()
