"""The consistency weight: it grows with the progress of a stage (Laine and Aila, ICLR 2017)."""

from __future__ import annotations

from harness.api.params import MethodParams, hyper
from harness.api.progress import Progress, ramp_up, staircase


class ConsistencyParams(MethodParams):
    """Hyper-parameters of every method with a ramped consistency loss."""

    consistency: float = hyper(0.1, "final weight of L_con", ge=0, search=(0.01, 1.0), scale="log")
    ramp_end: float = hyper(1.0, "stage progress at which the weight is full", gt=0, le=1)
    ramp_stairs: int | None = hyper(None, "equal stairs of stage progress; None: smooth", ge=1)

    def weight(self, progress: Progress) -> float:
        """Give consistency x exp(-5 (1 - min(p, end) / end)^2) of stage progress p, in stairs where they are set."""
        return self.consistency * ramp_up(staircase(progress.stage, self.ramp_stairs), self.ramp_end)
