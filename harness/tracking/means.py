"""The run of a method: the means of its finals by labelled count, above the runs of its units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.api.strict import digest
from harness.records.selection import Selection
from harness.tracking.content import LAYOUT, METHOD_TAG, RECORD_TAG, ROLE_TAG, Finished, RunContent
from harness.tracking.params import joined_params
from harness.tracking.series import CURVE, HEADLINE, MAIN, Point, Span, at_end, main_first


def method_content(method: str, units: Sequence[Finished], selection: Selection | None) -> RunContent:
    """The run that stands above all runs of a method.

    Means are over the finals of the current selection that have numbers (over all finals where no selection was
    recorded). Units that one table must not mix (another budget, environment, data or version) get no mean; a tag
    says so. Params are those of the finals, of the search before there are any.
    """
    finals = selected_finals(units, planned_ids(selection, method))
    span = whole_span(units)
    values = {**counts(finals), **_planned_count(method, selection), "n_search": _searched(units)}
    tags = {
        METHOD_TAG: method,
        "method": method,
        ROLE_TAG: "method",
        RECORD_TAG: method_record(method, units, selection),
    }
    curves: list[Point] = []
    for labelled in sorted({u.labelled for u in finals}):
        group = [u for u in finals if u.labelled == labelled]
        if len({_comparable(u) for u in group}) > 1:
            tags[f"labelled_{labelled}.means"] = (
                "none: budgets, environments, data or versions differ between its units"
            )
        else:
            means = _means(group)
            values |= {f"labelled_{labelled}/{name}": value for name, value in means.items()}
            values |= {f"{HEADLINE}/labelled_{labelled}": value for name, value in means.items() if name == MAIN}
            curves += mean_curve(f"labelled_{labelled}/{CURVE}", group, span)
    return RunContent(
        name=method,
        status="FINISHED",
        span=span,
        tags=tags,
        params=joined_params([u.unit for u in finals or units]),
        points=(*at_end(main_first(values), step=0, span=span), *curves),
    )


def method_record(method: str, units: Iterable[Finished], selection: Selection | None) -> str:
    """Fingerprint of all that the run of a method is made of."""
    planned = planned_ids(selection, method)
    return digest([LAYOUT, unit_records(units), None if planned is None else sorted(planned)])


def unit_records(units: Iterable[Finished]) -> list[list[str]]:
    """Id and fingerprint of each unit, in order."""
    return sorted([u.unit.id, u.record] for u in units)


def planned_ids(selection: Selection | None, method: str | None = None) -> set[str] | None:
    """Ids of the finals in the current selection, of one method or of all; None without a selection."""
    if selection is None:
        return None
    return {entry.unit for entry in selection.entries if method in {None, entry.slot.method}}


def selected_finals(units: Iterable[Finished], planned: set[str] | None) -> list[Finished]:
    """The finals that count."""
    return [u for u in units if u.unit.role == "final" and (planned is None or u.unit.id in planned)]


def whole_span(units: Sequence[Finished]) -> Span:
    """From the start of the first unit to the end of the last."""
    spans = [u.span for u in units]
    return Span(min(s.start_ms for s in spans), max(s.end_ms for s in spans))


def counts(finals: Iterable[Finished]) -> dict[str, float]:
    """How many have numbers and how many failed."""
    ok = [u.ok for u in finals]
    return {"n_ok": float(sum(ok)), "n_failed": float(len(ok) - sum(ok))}


def _planned_count(method: str, selection: Selection | None) -> dict[str, float]:
    planned = planned_ids(selection, method)
    return {} if planned is None else {"n_planned": float(len(planned))}


def _searched(units: Iterable[Finished]) -> float:
    return float(sum(u.unit.role == "search" for u in units))


def _comparable(finished: Finished) -> str:
    """Equal for units whose numbers one mean may hold."""
    unit = finished.unit
    dataset = unit.dataset.model_dump(mode="json")
    versions = [unit.method_version, unit.protocol_version]
    return digest([unit.budget.model_dump(mode="json"), dataset, versions, finished.result.environment])


def _means(group: Sequence[Finished]) -> dict[str, float]:
    """Mean of each test metric and of what was spent over the units that have numbers; how many have and have not."""
    rows = [_values(finished) for finished in group if finished.ok]
    shared = set.intersection(*(set(row) for row in rows)) if rows else set()
    means = {name: sum(row[name] for row in rows) / len(rows) for name in sorted(shared)}
    return {**counts(group), **means}


def _values(finished: Finished) -> dict[str, float]:
    """What a method is compared by: all metrics over classes, Dice by class too. The runs below have the rest."""
    spent = finished.result.spent
    tested = {name: value for name, value in finished.tested.items() if name.count("/") == 2 or "/dice/" in name}
    return {**tested, "spent/device_seconds": spent.useful_device_seconds, "spent/steps": float(spent.useful_steps)}


def mean_curve(name: str, group: Iterable[Finished], span: Span) -> Iterator[Point]:
    """Mean validation Dice of units by look, as far as all have it, at the device seconds spent (the point's step)."""
    looks = [u.result.looks for u in group if u.ok]
    for together in zip(*looks, strict=False):
        seconds = sum(look.device_seconds for look in together) / len(together)
        progress = sum(look.progress for look in together) / len(together)
        dice = [look.mean_dice for look in together if look.mean_dice is not None]
        if len(dice) == len(together):
            yield Point(name, sum(dice) / len(dice), round(seconds), span.at(progress))
