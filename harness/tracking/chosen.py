"""Which units hold the configurations that the current selection chose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.api.strict import canonical_json
from harness.records.schema import Unit
from harness.records.selection import Selection
from harness.tracking.content import Finished

CHOSEN_TAG = "selected"
"""yes or no. Finals: whether the leaderboard counts them. Search: whether finals run with this configuration."""

Configuration = tuple[str, str]
"""Method and canonical hyper-parameters."""


@dataclass(frozen=True)
class Chosen:
    """What a selection chose.

    finals:         ids of its units.
    configurations: configuration -> optimiser settings of its finals that are done, as canonical text; a search may
                    vary these too, and the selection does not name them.
    """

    finals: frozenset[str]
    configurations: dict[Configuration, frozenset[str]]

    @classmethod
    def read(cls, selection: Selection | None, units: Iterable[Finished]) -> Chosen:
        """Of a suite's selection and its finished units; nothing is chosen before there is a selection."""
        entries = [] if selection is None else selection.entries
        finals = frozenset(entry.unit for entry in entries)
        done = [finished for finished in units if finished.unit.id in finals]
        wanted = {(entry.slot.method, canonical_json(entry.params)) for entry in entries}
        return cls(finals, {one: frozenset(_optimiser(u.unit) for u in done if _of(u) == one) for one in wanted})

    def tag(self, finished: Finished) -> dict[str, str]:
        """The unit's tag."""
        return {CHOSEN_TAG: "yes" if self._holds(finished) else "no"}

    def _holds(self, finished: Finished) -> bool:
        if finished.unit.role == "final":
            return finished.unit.id in self.finals
        known = self.configurations.get(_of(finished))
        return known is not None and (not known or _optimiser(finished.unit) in known)


def _of(finished: Finished) -> Configuration:
    return finished.method, canonical_json(finished.unit.params)


def _optimiser(unit: Unit) -> str:
    return canonical_json(unit.engine.optimiser.model_dump(mode="json"))
