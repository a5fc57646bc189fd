"""Temperature schedules: tau as a function of the progress of a stage, from 0 to 1.

`Cosine` with one period is ACTION++'s (You et al., MICCAI 2023): it starts and ends at its softest, and is sharpest in
the middle. Its release runs ten periods. A schedule has no state, so a resumed run needs none.

In a suite: `{family: cosine, low: 0.1, high: 1.0, periods: 1}`. In a method's parameters:
`temperature: Temperature = hyper(Cosine(low=0.1, high=1.0), "of the student")`.

A search varies the schedule by four numbers that all of ACTION++'s temperatures share:
    tau_family   cosine, half_cosine, linear or constant
    tau_low      tau-, the sharpest temperature of student, L_anco and L_aaco; the teacher's is a tenth of it
    tau_high     tau+, the softest temperature of all four
    tau_periods  waves in a stage, of the cosine alone

half_cosine and linear fall from tau+ to tau-; constant stays at tau-, as in ACTION. ACTION++'s default is the point
(cosine, 0.1, 1.0, 1), where the teacher's 0.01 is a tenth of the student's 0.1.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, model_validator

from harness.api.params import Dimension, MethodParams, Point, hyper, rounded


class TemperatureSchedule(MethodParams):
    """Base of the families; every temperature is above 0."""

    family: str

    @abstractmethod
    def value(self, progress: float) -> float:
        """Tau at a stage progress in [0, 1]."""

    def __str__(self) -> str:
        return "{" + ", ".join(f"{name}: {value}" for name, value in self.model_dump(mode="json").items()) + "}"


class Constant(TemperatureSchedule):
    family: Literal["constant"] = "constant"
    tau: float = hyper(..., "the temperature", gt=0, search=(0.03, 2.0), scale="log")

    def value(self, progress: float) -> float:
        return self.tau


class Linear(TemperatureSchedule):
    """A straight line, (1 - p) start + p end."""

    family: Literal["linear"] = "linear"
    start: float = hyper(..., "tau at progress 0", gt=0, search=(0.03, 2.0), scale="log")
    end: float = hyper(..., "tau at progress 1", gt=0, search=(0.03, 2.0), scale="log")

    def value(self, progress: float) -> float:
        return (1.0 - progress) * self.start + progress * self.end


class Cosine(TemperatureSchedule):
    """Waves between `low` and `high` that start at `high`; whole periods end there too, half ones at `low`."""

    family: Literal["cosine"] = "cosine"
    low: float = hyper(..., "tau-, the sharpest temperature", gt=0, search=(0.03, 0.3), scale="log")
    high: float = hyper(..., "tau+, the softest temperature", gt=0, search=(0.3, 2.0))
    periods: float = hyper(1.0, "waves in a stage", gt=0, search=(0.5, 1, 2, 5, 10), scale="choice")

    @model_validator(mode="after")
    def _ordered(self) -> Cosine:
        if self.low > self.high:
            raise ValueError(f"a cosine runs between low and high: low {self.low:g} is above high {self.high:g}")
        return self

    def value(self, progress: float) -> float:
        """tau- + 0.5 (1 + cos(2 pi periods p)) (tau+ - tau-)."""
        return self.low + 0.5 * (1.0 + math.cos(2.0 * math.pi * self.periods * progress)) * (self.high - self.low)


class HalfCosine(TemperatureSchedule):
    """One half-wave, flat at both ends; rises or falls, never both."""

    family: Literal["half_cosine"] = "half_cosine"
    start: float = hyper(..., "tau at progress 0", gt=0, search=(0.03, 2.0), scale="log")
    end: float = hyper(..., "tau at progress 1", gt=0, search=(0.03, 2.0), scale="log")

    def value(self, progress: float) -> float:
        return self.end + 0.5 * (1.0 + math.cos(math.pi * progress)) * (self.start - self.end)


class Step(TemperatureSchedule):
    """Equal pieces of the stage, one value each."""

    family: Literal["step"] = "step"
    values: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = hyper(..., "tau in each equal piece, in order")

    def value(self, progress: float) -> float:
        """values[floor(p n)] of n values; a boundary belongs to the later piece, progress 1 to the last."""
        return self.values[min(math.floor(progress * len(self.values)), len(self.values) - 1)]


Temperature = Annotated[Constant | Linear | Cosine | HalfCosine | Step, Field(discriminator="family")]
"""Any family, told apart by its name."""

TEACHER_SHARE = 0.1
"""tau- of the teacher over the student's."""

TEMPERATURE_SPACE = {
    "tau_family": Dimension(values=("cosine", "half_cosine", "linear", "constant")),
    "tau_low": Dimension(scale="log", values=(0.03, 0.3)),
    "tau_high": Dimension(scale="linear", values=(0.3, 2.0)),
    "tau_periods": Dimension(values=(0.5, 1, 2, 5, 10)),
}
SHARED = ("student_temperature", "anatomical_temperature", "supervised_temperature")


def schedules(point: Point, student: TemperatureSchedule) -> dict[str, dict[str, Any]]:
    """The four temperatures at a point; what it does not name stays as the student's cosine has it."""
    known = student if isinstance(student, Cosine) else Cosine(low=0.1, high=1.0)
    family = str(point.get("tau_family", student.family))
    low, high = float(point.get("tau_low", known.low)), float(point.get("tau_high", known.high))
    periods = float(point.get("tau_periods", known.periods))
    ours = _schedule(family, low, high, periods)
    return {**dict.fromkeys(SHARED, ours), "teacher_temperature": _schedule(family, TEACHER_SHARE * low, high, periods)}


def _schedule(family: str, low: float, high: float, periods: float) -> dict[str, Any]:
    low = rounded(low)
    match family:
        case "cosine":
            return {"family": family, "low": low, "high": high, "periods": periods}
        case "half_cosine" | "linear":
            return {"family": family, "start": high, "end": low}
        case "constant":
            return {"family": family, "tau": low}
        case _:
            raise ValueError(f"tau_family is one of {TEMPERATURE_SPACE['tau_family']}, not {family!r}")
