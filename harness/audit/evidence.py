"""What checks share: verdicts in a word, units by name, and whether all units have one value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from harness.audit.finding import Verdict
from harness.audit.records import Finished, SuiteRecords, UnitRecords

NAMED = 3
"""Units that a line of evidence names before it counts the others."""

UNSEEN = "cannot be seen in records: "
NOT_RECORDED = "not recorded: "


def held(*evidence: str) -> Verdict:
    """The rule holds."""
    return Verdict("held", evidence)


def broken(units: Iterable[UnitRecords], *evidence: str) -> Verdict:
    """The rule is broken, by these units."""
    return Verdict("not held", evidence, tuple(dict.fromkeys(one.folder.id for one in units)))


def not_applicable(*evidence: str) -> Verdict:
    """The rule has nothing to judge; the evidence says why."""
    return Verdict("not applicable", evidence)


def nothing_finished(suite: SuiteRecords) -> Verdict:
    """For rules about units with numbers, where there are none."""
    return not_applicable(f"no unit has finished yet: {suite.progress}")


def names(units: Sequence[UnitRecords]) -> str:
    """The first few units by name, the others counted."""
    named = ", ".join(one.name for one in units[:NAMED])
    return f"{named} and {len(units) - NAMED} more" if len(units) > NAMED else named


def counted(amount: int, thing: str) -> str:
    """1 unit, 2 units."""
    return f"{amount} {thing}" if amount == 1 else f"{amount} {thing}s"


def spread(values: Sequence[float], unit: str = "", digits: int = 0) -> str:
    """'1,044 to 1,065 steps', or one value where all agree."""
    low, high = (f"{value:,.{digits}f}" for value in (min(values), max(values)))
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def groups(units: Iterable[UnitRecords], value: Callable[[UnitRecords], str]) -> dict[str, list[UnitRecords]]:
    """Units by a value, the most frequent value first."""
    found: dict[str, list[UnitRecords]] = {}
    for one in units:
        found.setdefault(value(one), []).append(one)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def one_value(units: Sequence[UnitRecords], what: str, value: Callable[[UnitRecords], str], file: str) -> Verdict:
    """Held if all units have one value; otherwise those that differ from the most frequent one are at fault.

    file: of the unit's folder, where the value stands.
    """
    found = groups(units, value)
    if len(found) == 1:
        return held(f"{what}: {next(iter(found))}, in all of {counted(len(units), 'unit')} ({file})")
    lines = [f"{text}: {counted(len(members), 'unit')}, {names(members)}" for text, members in found.items()]
    odd = [one for members in list(found.values())[1:] for one in members]
    return broken(odd, f"{len(found)} different values of {what} ({file})", *lines)


def together(*verdicts: Verdict) -> Verdict:
    """One verdict on several points: not held where one is not, held where one is; evidence in that order."""
    order = {"not held": 0, "held": 1, "not applicable": 2}
    ranked = sorted(verdicts, key=lambda verdict: order[verdict.status])
    evidence = tuple(line for verdict in ranked for line in verdict.evidence)
    units = tuple(dict.fromkeys(unit for verdict in ranked for unit in verdict.units))
    return Verdict(ranked[0].status, evidence, units)


def unseen_by_old_versions(finished: Sequence[Finished]) -> tuple[str, ...]:
    """A line about units that ran before the engine looked; none if there are none."""
    blind = [one.records for one in finished if one.observed is None]
    if not blind:
        return ()
    return (f"{NOT_RECORDED}{counted(len(blind), 'unit')} of a version that did not look: {names(blind)}",)
