"""The temperature schedule as a search varies it: four numbers that all of ACTION++'s temperatures share.

    tau_family   cosine, half_cosine, linear or constant
    tau_low      tau-, the sharpest temperature of student, L_anco and L_aaco; the teacher's is a tenth of it
    tau_high     tau+, the softest temperature of all four
    tau_periods  waves in a stage, of the cosine alone

half_cosine and linear fall from tau+ to tau-; constant stays at tau-, as in ACTION. ACTION++'s default is the point
(cosine, 0.1, 1.0, 1), where the teacher's 0.01 is a tenth of the student's 0.1.
"""

from __future__ import annotations

from typing import Any

from harness.api.params import Dimension, Point
from methods.action_parts.temperature import Cosine, TemperatureSchedule

TEACHER_SHARE = 0.1
"""tau- of the teacher over the student's."""

TEMPERATURE_SPACE = {
    "tau_family": Dimension(values=("cosine", "half_cosine", "linear", "constant")),
    "tau_low": Dimension(scale="log", values=(0.03, 0.3)),
    "tau_high": Dimension(scale="linear", values=(0.3, 2.0)),
    "tau_periods": Dimension(values=(0.5, 1, 2, 5, 10)),
}
SHARED = ("student_temperature", "anatomical_temperature", "supervised_temperature")


def coordinate(name: str, student: TemperatureSchedule) -> Any:  # noqa: ANN401 - a number or a name
    """The student's value on a dimension; None for a family without that number."""
    if name == "tau_family":
        return student.family
    return getattr(student, name.removeprefix("tau_"), None) if isinstance(student, Cosine) else None


def schedules(point: Point, student: TemperatureSchedule) -> dict[str, dict[str, Any]]:
    """The four temperatures at a point; what it does not name stays as the student's cosine has it."""
    known = student if isinstance(student, Cosine) else Cosine(low=0.1, high=1.0)
    family = str(point.get("tau_family", student.family))
    low, high = float(point.get("tau_low", known.low)), float(point.get("tau_high", known.high))
    periods = float(point.get("tau_periods", known.periods))
    ours = _schedule(family, low, high, periods)
    return {**dict.fromkeys(SHARED, ours), "teacher_temperature": _schedule(family, TEACHER_SHARE * low, high, periods)}


def _schedule(family: str, low: float, high: float, periods: float) -> dict[str, Any]:
    low = float(f"{low:.6g}")
    match family:
        case "cosine":
            return {"family": family, "low": low, "high": high, "periods": periods}
        case "half_cosine" | "linear":
            return {"family": family, "start": high, "end": low}
        case "constant":
            return {"family": family, "tau": low}
        case _:
            raise ValueError(f"tau_family is one of {TEMPERATURE_SPACE['tau_family']}, not {family!r}")
