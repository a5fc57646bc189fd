"""The parent run of a method: the means of its finals, by labelled count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.spec.records import Selection, digest
from harness.track.content import LAYOUT, METHOD_TAG, RECORD_TAG, Finished, RunContent, readable
from harness.track.series import Span, at_end, case_metrics


def method_content(method: str, units: Sequence[Finished], selection: Selection | None) -> RunContent:
    """The run that stands above all runs of a method.

    Means are over the finals of the current selection that have numbers (over all finals where no selection was
    recorded). Units that one table must not mix (another budget, environment, data or version) get no mean; a tag
    says so.
    """
    planned = _planned(method, selection)
    finals = [u for u in units if u.unit.role == "final" and (planned is None or u.unit.id in planned)]
    spans = [u.span for u in units]
    span = Span(min(s.start_ms for s in spans), max(s.end_ms for s in spans))
    values = {"n_ok": float(sum(u.ok for u in finals)), "n_failed": float(sum(not u.ok for u in finals))}
    values |= {} if planned is None else {"n_planned": float(len(planned))}
    tags = {METHOD_TAG: method, "method": method, RECORD_TAG: method_record(method, units, selection)}
    for labelled in sorted({u.labelled for u in finals}):
        group = [u for u in finals if u.labelled == labelled]
        if len({_comparable(u) for u in group}) > 1:
            tags[f"labelled_{labelled}.means"] = (
                "none: budgets, environments, data or versions differ between its units"
            )
        else:
            values |= {f"labelled_{labelled}/{name}": value for name, value in _means(group).items()}
    return RunContent(
        name=method, status="FINISHED", span=span, tags=tags, points=tuple(at_end(values, step=0, span=span))
    )


def method_record(method: str, units: Iterable[Finished], selection: Selection | None) -> str:
    """Fingerprint of all that the run of a method is made of."""
    records = sorted([u.unit.id, u.record] for u in units)
    planned = _planned(method, selection)
    return digest([LAYOUT, records, None if planned is None else sorted(planned)])


def _planned(method: str, selection: Selection | None) -> set[str] | None:
    """Ids of the method's finals in the current selection."""
    return None if selection is None else {e.unit for e in selection.entries if e.slot.method == method}


def _comparable(finished: Finished) -> str:
    """Equal for units whose numbers one mean may hold."""
    unit = finished.unit
    dataset = unit.dataset.model_dump(mode="json")
    versions = [unit.method_version, unit.protocol_version]
    return digest([unit.budget.model_dump(mode="json"), dataset, versions, finished.result.environment])


def _means(group: Sequence[Finished]) -> dict[str, float]:
    """Mean of each test metric and of what was spent over the units that have numbers; how many have and have not."""
    ok = [finished for finished in group if finished.ok]
    rows = [_values(finished) for finished in ok]
    shared = set.intersection(*(set(row) for row in rows)) if rows else set()
    means = {name: sum(row[name] for row in rows) / len(rows) for name in sorted(shared)}
    return {"n_ok": float(len(ok)), "n_failed": float(len(group) - len(ok)), **means}


def _values(finished: Finished) -> dict[str, float]:
    spent = finished.result.spent
    with readable(finished.folder):
        tested = case_metrics(finished.folder.cases())
    return {**tested, "spent/device_seconds": spent.useful_device_seconds, "spent/steps": float(spent.useful_steps)}
