"""Rules about what a table shows and leaves out."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from harness.audit.evidence import (
    UNSEEN,
    broken,
    counted,
    groups,
    held,
    names,
    not_applicable,
    nothing_finished,
    one_value,
    together,
)
from harness.audit.finding import Verdict
from harness.audit.records import Finished, SuiteRecords
from harness.audit.rule import rule
from harness.records.schema import Result

TABLE = "leaderboard/leaderboard.csv"


@rule(
    28,
    "Every row was trained here",
    "Rows equal to another paper's to the last digit stand under captions that claim an identical setting.",
    practices=(11, 13),
)
def trained_here(suite: SuiteRecords) -> Verdict:
    """Every finished unit has steps in a ledger.jsonl of its own, and weights that no other unit has.

    That nobody wrote a record by hand cannot be seen; `harness replay` proves a unit.
    """
    if not suite.finished:
        return nothing_finished(suite)
    idle = [one.records for one in suite.finished if not any(line.steps for line in one.records.ledger)]
    if idle:
        return broken(idle, f"no step in ledger.jsonl: {names(idle)}")
    by_weights = groups([one.records for one in suite.finished], lambda one: _weights(one.result))
    copies = [members for members in by_weights.values() if len(members) > 1]
    if copies:
        lines = [f"the same weights in result.json: {names(members)}" for members in copies]
        return broken([one for members in copies for one in members], *lines)
    seconds = sum(one.result.spent.useful_device_seconds for one in suite.finished)
    return held(
        f"{counted(len(suite.finished), 'unit')} with {seconds:,.0f} device-seconds in their own ledger.jsonl and "
        f"{len(by_weights)} different weights"
    )


def _weights(result: Result | None) -> str:
    return "" if result is None else str(result.weights_sha256)


@rule(
    29,
    "Floor and ceiling run in every suite",
    "Published floors differ by 17 Dice at the same labels; a weak floor inflates every gain.",
    practices=(27,),
)
def floor_and_ceiling(suite: SuiteRecords) -> Verdict:
    """selection.json holds an unranked method with all labels: the ceiling.

    Among the ranked methods one saw labelled images alone (result.json): the floor.
    """
    ranked = list(dict.fromkeys(entry.slot.method for entry in suite.selection.entries if entry.ranked))
    if len(ranked) <= 1:
        return not_applicable(f"{counted(len(ranked), 'ranked method')}: nothing is compared between methods")
    references = [entry.slot for entry in suite.selection.entries if not entry.ranked and entry.slot.labelled is None]
    if not references:
        return Verdict("not held", ("no ceiling: selection.json holds no unranked method with all labels",))
    by_method = {method: [one for one in suite.finished if one.row == method] for method in ranked}
    floors = [method for method, units in by_method.items() if units and all(map(_labelled_alone, units))]
    if floors:
        return held(f"ceiling {references[0].method} (selection.json), floor {', '.join(floors)} (result.json)")
    if all(by_method.values()):
        return Verdict("not held", ("no floor: every ranked method saw unlabelled images (result.json)",))
    return not_applicable(f"ceiling {references[0].method}; no floor has finished yet: {suite.progress}")


def _labelled_alone(one: Finished) -> bool:
    return 0 < one.result.images_seen == one.result.labelled_images_seen


@rule(
    30,
    "A failed unit is a row",
    "A method that diverges on some seeds is not as good as the mean of the others.",
    practices=(28,),
)
def failures_shown(suite: SuiteRecords) -> Verdict:
    """Every failed unit has a kind and a reason (result.json), and leaderboard.csv, once written, counts it.

    What ran again after a failure is named.
    """
    mute = [one for one in suite.failed if one.result is not None and one.result.failure is None]
    if mute:
        return broken(mute, f"failed without a reason in result.json: {names(mute)}")
    hidden = [one for one in suite.failed if one.slot.method in _tables_without_failures(suite)]
    if hidden:
        return broken(hidden, f"failed, and {TABLE} counts no failure of the method: {names(hidden)}")
    lines = [
        f"{one.name}/result.json: {one.result.failure.kind}, {one.result.failure.reason}"
        for one in suite.failed
        if one.result is not None and one.result.failure is not None
    ]
    again = [one.records for one in suite.finished if _failed_before(one)]
    if again:
        lines.append(f"run again after a failure (ledger.jsonl): {names(again)}")
    left = suite.planned - len(suite.finished) - len(suite.failed)
    counts = f"{len(suite.finished)} finished, {len(suite.failed)} failed, {left} to run"
    return held(f"{counts}, of {counted(suite.planned, 'unit')} in selection.json", *lines)


def _tables_without_failures(suite: SuiteRecords) -> set[str]:
    """Methods of which leaderboard.csv knows finished units alone: one that had yet to run may have failed since."""
    open_ends: dict[str, int] = {}
    for row in _table(suite):
        count = sum(int(float(row.get(name) or 0)) for name in ("n_failed", "n_missing"))
        open_ends[row["method"]] = open_ends.get(row["method"], 0) + count
    return {method for method, count in open_ends.items() if not count}


def _table(suite: SuiteRecords) -> list[dict[str, str]]:
    """Rows of the leaderboard as it was written last; none where it was not."""
    path = suite.root / TABLE
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _failed_before(one: Finished) -> bool:
    return any(line.kind == "end" and (line.note or "").startswith("failed") for line in one.records.ledger)


@rule(
    31,
    "One table never mixes versions of the protocol or of a method",
    "A change that changes numbers makes another experiment of the same name.",
)
def one_version(suite: SuiteRecords) -> Verdict:
    """The protocol's version in unit.json is the same for every unit, and so is each method's."""
    if not suite.units:
        return nothing_finished(suite)
    protocol = one_value(suite.units, "protocol version", lambda one: str(one.unit.protocol_version), "unit.json")
    by_method = groups(suite.units, lambda one: one.slot.method)
    methods = [
        one_value(members, f"version of {method}", lambda one: str(one.unit.method_version), "unit.json")
        for method, members in by_method.items()
    ]
    mixed = [verdict for verdict in methods if verdict.status == "not held"]
    return together(protocol, *mixed)


@rule(
    32,
    "Patients are the unit of every interval, and differences within noise are called so",
    "Means alone, of one run, to four digits: the gains of semi-supervision lie within the noise.",
    practices=(28,),
)
def intervals_shown(suite: SuiteRecords) -> Verdict:
    """leaderboard/leaderboard.csv, where it was written, has patients and an interval beside each mean Dice.

    Both frames of a patient are resampled together.
    """
    rows = _table(suite)
    if not rows:
        return not_applicable(f"{TABLE} was not written yet")
    absent = [what for what, found in _shown(list(rows[0])).items() if not found]
    if absent:
        return Verdict("not held", (f"{TABLE} lacks {' and '.join(absent)}",))
    return held(f"{TABLE}: number of patients and an interval beside every mean Dice")


def _shown(columns: Sequence[str]) -> dict[str, bool]:
    lows = [name for name in columns if name.startswith("dice") and name.endswith("_low")]
    return {
        "the number of patients": "n_patients" in columns,
        "an interval of Dice": any(f"{low.removesuffix('_low')}_high" in columns for low in lows),
    }


@rule(
    33,
    "Everything is written from the papers' formulas",
    "Much released code has no licence at all; what is copied cannot be shared.",
    practices=(33,),
)
def own_code(_suite: SuiteRecords) -> Verdict:
    """Not visible in records: it is a rule about source code. MedPy (GPL-3.0) is used by tests alone."""
    return not_applicable(f"{UNSEEN}it is about source code; see LICENSE and the docstring of each method")
