"""Numbers of a run's records as MLflow metrics: name, value, step and time."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from harness.records.cases import METRICS
from harness.records.schema import Result, Run

MAX_POINTS = 50
"""Of one series; longer ones are thinned to real values at real steps, first and last among them. The whole history is
in the records; a database of thousands of runs is bound by its number of points."""

HISTORY = {"loss": "train/loss", "learning_rate": "train/learning_rate", "progress_run": "train/progress"}
"""Column of history -> metric; named loss terms are added as train/<column>."""

MAIN = "test/last/dice"
"""What matters most, and a run's first metric: MLflow's compare page plots the one that a run was given first."""

HEADLINE = "dice"
"""Of an entry's run: its main metric of each table once more, as dice/labelled_3, for the page lists by name."""

CURVE = "val/dice_by_device_seconds"

RESULT_SIZES = (
    "longest_step_seconds", "images_seen", "labelled_images_seen", "parameters_training", "parameters_predictor",
    "peak_memory_bytes",
)  # fmt: skip

CASE_COUNTS = {"missed": "n_missed", "spurious": "n_spurious"}


@dataclass(frozen=True)
class Point:
    name: str
    value: float
    step: int
    at_ms: int


@dataclass(frozen=True)
class Span:
    """When a run ran, in milliseconds since 1970."""

    start_ms: int
    end_ms: int

    def at(self, share: float) -> int:
        """The time at which a share of the budget was spent, as if it was spent evenly."""
        return self.start_ms + round((self.end_ms - self.start_ms) * min(max(share, 0.0), 1.0))


def metric_name(*parts: str) -> str:
    """Parts joined by slashes, without characters that MLflow forbids."""
    return "/".join(re.sub(r"[^\w\-. :]|^\.+$", "_", part) for part in parts)


def validation_points(result: Result, span: Span) -> Iterator[Point]:
    """By step: Dice, device seconds so far, and what the method shows; the last Dice."""
    last = result.validations[-1] if result.validations else None
    if last is not None and last.mean_dice is not None:
        yield Point("validation_dice", last.mean_dice, last.step, span.end_ms)
    for validation in result.validations:
        values = {"val/device_seconds": validation.device_seconds}
        values |= _dice_points("val", validation.dice, validation.mean_dice)
        values |= _dice_points("unlabelled", validation.unlabelled_dice or {}, validation.mean_unlabelled_dice)
        values |= {metric_name("method", *name.split("/")): value for name, value in validation.diagnostics.items()}
        for name, value in values.items():
            yield Point(name, value, validation.step, span.at(validation.progress))


def _dice_points(where: str, by_class: dict[str, float], mean: float | None) -> dict[str, float]:
    values = {metric_name(where, "dice", name): value for name, value in by_class.items()}
    return values if mean is None else values | {f"{where}/dice": mean}


def history_points(history: pd.DataFrame, span: Span) -> Iterator[Point]:
    """Loss, its terms, learning rate and progress by step; finite values alone."""
    if history.empty:
        return
    terms = [name for name in map(str, history) if re.match("(term|schedule)/", name)]
    metrics = HISTORY | {name: metric_name("train", *name.split("/")) for name in terms}
    for column, name in metrics.items():
        rows = thin(history[history[column].astype(float).abs() < math.inf])
        for step, progress, value in zip(rows["step"], rows["progress_run"], rows[column], strict=True):
            yield Point(name, float(value), int(step), span.at(float(progress)))


def thin(frame: pd.DataFrame) -> pd.DataFrame:
    """At most MAX_POINTS rows, evenly spread, with the first and the last."""
    count = len(frame)
    if count <= MAX_POINTS:
        return frame
    return frame.iloc[[round(i * (count - 1) / (MAX_POINTS - 1)) for i in range(MAX_POINTS)]]


def result_points(asked: Run, result: Result, span: Span) -> Iterator[Point]:
    spent = result.spent
    values: dict[str, float | None] = {
        "spent/device_seconds": spent.useful_device_seconds,
        "spent/steps": spent.useful_steps,
        **{f"spent/{name}": getattr(spent, name) for name in ("lost_device_seconds", "lost_steps", "attempts")},
        "spent/share_of_budget": spent.in_currency(asked.budget)[0] / asked.budget.amount,
        **{metric_name("stage", name, "device_seconds"): value for name, value in result.stage_device_seconds.items()},
        **{metric_name("stage", name, "steps"): value for name, value in result.stage_steps.items()},
        **{metric_name("wall_seconds", phase): value for phase, value in result.wall_seconds.items()},
        **{name: getattr(result, name) for name in RESULT_SIZES},
        "val/best_validation": result.best_validation,
    }
    return at_end({name: value for name, value in values.items() if value is not None}, spent.useful_steps, span)


def at_end(values: Mapping[str, float], step: int, span: Span) -> Iterator[Point]:
    return (Point(name, float(value), step, span.end_ms) for name, value in values.items())


def main_first(values: Mapping[str, float]) -> dict[str, float]:
    """The values, headlines and the main metric before all others."""
    return dict(sorted(values.items(), key=lambda item: (not item[0].startswith(f"{HEADLINE}/"), item[0] != MAIN)))


def case_metrics(cases: pd.DataFrame) -> dict[str, float]:
    """Metric name -> value: of each class the mean over patients of a patient's cases, and the mean of classes.

    A distance that is unknown for any case has no value. `n_*` are counts.
    """
    values: dict[str, float] = {}
    for selection, rows in cases.groupby("checkpoint"):
        base = ("test", str(selection))
        means = rows[[*METRICS]].astype(float)
        by_patient = means.groupby([rows["class_name"], rows["patient"]]).mean(skipna=False)
        by_class = by_patient.groupby("class_name").mean(skipna=False)
        known = by_class.loc[:, by_class.notna().all()]
        counts = rows[[*CASE_COUNTS]].astype(int).groupby(rows["class_name"]).sum().rename(columns=CASE_COUNTS)
        for table, total in ((known, known.mean()), (counts, counts.sum())):
            values |= {metric_name(*base, str(column)): float(total[str(column)]) for column in table}
            for label, row in table.to_dict("index").items():
                values |= {metric_name(*base, str(name), str(label)): float(value) for name, value in row.items()}
    return values
