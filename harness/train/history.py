"""Losses, schedules and progress by step: kept on the device, drained at checkpoints, one parquet file a part."""

import shutil
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from harness.api.method import Loss
from harness.api.progress import Progress
from harness.records.files import write_bytes
from harness.records.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("stage", "step", "step_in_stage", "progress_run", "progress_stage", "learning_rate")


class NonFiniteLossError(Exception):
    """A loss became NaN or infinite."""


class History:
    """Collects rows without stopping the device; `drain` writes them as history/<next step>-<CRC-32>.parquet."""

    def __init__(self, folder: RunFolder) -> None:
        self._run_folder = folder
        self._folder = folder.path / "history"
        self._merged = folder.path / "history.parquet"
        self._rows: list[tuple[str, int, int, float, float, float]] = []
        self._values: list[Tensor] = []
        self._schedules: list[dict[str, float]] = []
        self._names: tuple[str, ...] = ()
        self._parts: list[pd.DataFrame] = []
        self.step_seconds: list[float] = []

    def add(self, stage: str, step: int, progress: Progress, learning_rate: float, loss: Loss) -> None:
        """One step; the loss stays on the device. progress: with the method's schedules, as numbers of the host."""
        names = ("loss", *(f"term/{name}" for name in loss.terms))
        if names != self._names:
            self._close_part()
            self._names = names
        self._rows.append((stage, step, progress.step, progress.run, progress.stage, learning_rate))
        self._schedules.append({f"schedule/{name}": float(value) for name, value in progress.schedules.items()})
        values = [loss.total, *loss.terms.values()]
        self._values.append(torch.stack([value.detach().float() for value in values]))

    def drain(self) -> None:
        """Write what was collected since the last call; raises `NonFiniteLossError` if a loss was not finite."""
        import pandas as pd

        self._close_part()
        if not self._parts:
            return
        part = pd.concat(self._parts, ignore_index=True)
        self._parts.clear()
        part["step_seconds"] = self.step_seconds[: len(part)]
        self.step_seconds = self.step_seconds[len(part) :]
        self._run_folder.write_history_part(int(part["step"].iloc[-1]) + 1, part)
        bad = part.loc[~np.isfinite(part["loss"]), "step"]
        if len(bad):
            raise NonFiniteLossError(f"the loss of step {int(bad.iloc[0])} is not finite")

    def _close_part(self) -> None:
        import pandas as pd

        if not self._rows:
            return
        rows = pd.DataFrame(self._rows, columns=list(COLUMNS))
        values = pd.DataFrame(torch.stack(self._values).cpu().numpy(), columns=list(self._names))
        self._parts.append(pd.concat([rows, values, pd.DataFrame(self._schedules)], axis=1))
        for collected in (self._rows, self._values, self._schedules):
            collected.clear()

    def forget_after(self, step: int) -> None:
        """Drop parts beyond the checkpoint at `step` that is resumed; all of them where the run starts again at 0."""
        self._run_folder.lease.check()
        for part in self._folder.glob("*.parquet"):
            if int(part.stem.partition("-")[0]) > step:
                part.unlink()
        if step == 0:
            self._merged.unlink(missing_ok=True)

    def merge(self) -> None:
        """One file instead of parts; called when no step is left.

        A kill may come between any two of these lines: once the merged file is there, it is whole.
        """
        if not self._merged.exists() and self._run_folder.history_parts():
            write_bytes(
                self._run_folder.to_write(self._merged.name), self._run_folder.history().to_parquet(index=False)
            )
        self._run_folder.lease.check()
        shutil.rmtree(self._folder, ignore_errors=True)
