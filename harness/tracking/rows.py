"""Which row of the suite a unit belongs to: a method, or a variant of one under a name of its own."""

from __future__ import annotations

from harness.records.selection import Selection
from harness.records.suite_folder import RunStore


def row_names(store: RunStore, selection: Selection | None) -> dict[str, str]:
    """Unit id -> the first row that has it, of the current search or selection; others go by their method."""
    points = store.points()
    named = [] if points is None else [(trial.unit, trial.method) for trial in points.trials]
    named += [] if selection is None else [(entry.unit, entry.slot.method) for entry in selection.entries]
    return dict(reversed(named))
