"""The MLflow run of an entry: the means of its finals by labelled count, above its own runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.api.strict import digest
from harness.tracking.content import RunContent
from harness.tracking.params import joined_params
from harness.tracking.series import CURVE, HEADLINE, MAIN, Point, Span, at_end, main_first
from harness.tracking.tracked import LAYOUT, TrackedRun, TrackedSuite, counts, fingerprints, whole_span


def entry_content(suite: TrackedSuite, entry: str) -> RunContent:
    """Mirror an entry as the MLflow run above its runs.

    Means are over the finals of the current selection that have numbers. Runs that one table must not mix (another
    budget, environment, data or version) get no mean; a tag says so. Params are those of the finals, or of the search
    before there are any.
    """
    runs = suite.entries[entry]
    finals, span = suite.selected_finals(runs), whole_span(runs)
    values = {
        **counts(finals),
        "n_planned": float(len(suite.planned.get(entry, ()))),
        "n_search": float(sum(run.is_search for run in runs)),
    }
    tags = {"method": entry}
    curves: list[Point] = []
    for labelled in sorted({run.labelled for run in finals}):
        group = [run for run in finals if run.labelled == labelled]
        name = f"labelled_{labelled}"
        if len(set(map(_comparable, group))) > 1:
            tags[f"{name}.means"] = "none: budgets, environments, data or versions differ between its runs"
            continue
        means = _means(group)
        values |= {f"{name}/{metric}": value for metric, value in means.items()}
        values |= {f"{HEADLINE}/{name}": means[MAIN]} if MAIN in means else {}
        curves += mean_curve(f"{name}/{CURVE}", group, span)
    return RunContent(
        name=entry,
        span=span,
        tags=tags,
        params=joined_params([run.asked for run in finals or runs]),
        points=(*at_end(main_first(values), step=0, span=span), *curves),
    )


def entry_fingerprint(suite: TrackedSuite, entry: str) -> str:
    """Fingerprint of all that the MLflow run of an entry is made of."""
    return digest([LAYOUT, fingerprints(suite.entries[entry]), sorted(suite.planned.get(entry, ()))])


def _comparable(run: TrackedRun) -> str:
    """Equal for runs whose numbers one mean may hold."""
    asked = run.asked.model_dump(mode="json", include={"budget", "dataset", "method_version", "protocol_version"})
    return digest([asked, run.result.environment])


def _means(group: Sequence[TrackedRun]) -> dict[str, float]:
    """Mean of each test metric and of what was spent over the runs that have numbers; how many have and have not."""
    rows = [_values(run) for run in group if run.record.ok]
    shared = set.intersection(*(set(row) for row in rows)) if rows else set()
    means = {name: sum(row[name] for row in rows) / len(rows) for name in sorted(shared)}
    return {**counts(group), **means}


def _values(run: TrackedRun) -> dict[str, float]:
    """The metrics that entries are compared by: all over classes, and Dice by class. The runs below hold the rest."""
    spent, metrics = run.result.spent, run.test_metrics
    tested = {name: value for name, value in metrics.items() if name.count("/") == 2 or "/dice/" in name}
    return {**tested, "spent/device_seconds": spent.useful_device_seconds, "spent/steps": float(spent.useful_steps)}


def mean_curve(name: str, group: Iterable[TrackedRun], span: Span) -> Iterator[Point]:
    """Mean Dice of runs by validation, as far as all have it, at the device seconds spent (the point's step)."""
    for validations in zip(*(run.result.validations for run in group if run.record.ok), strict=False):
        seconds = sum(validation.device_seconds for validation in validations) / len(validations)
        progress = sum(validation.progress for validation in validations) / len(validations)
        dice = [validation.mean_dice for validation in validations if validation.mean_dice is not None]
        if len(dice) == len(validations):
            yield Point(name, sum(dice) / len(dice), round(seconds), span.at(progress))
