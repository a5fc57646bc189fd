"""Rules about choosing: when the test split opens, which checkpoint counts, how methods are tuned."""

from __future__ import annotations

from collections.abc import Sequence

from harness.audit.evidence import (
    NOT_RECORDED,
    broken,
    counted,
    held,
    names,
    not_applicable,
    nothing_finished,
    together,
)
from harness.audit.finding import Verdict
from harness.audit.records import Aside, Finished, SuiteRecords, UnitRecords
from harness.audit.rule import rule
from harness.records.ledger import summarise

COLUMNS = {"last", "best_val"}
TUNING_TOLERANCE = 0.01
"""By how much the search budgets of two methods may differ, beside one step a unit."""


@rule(
    5,
    "The test split is opened once, after the last step",
    "Published numbers were picked with up to 72 looks at the test list.",
    practices=(1,),
)
def one_test(suite: SuiteRecords) -> Verdict:
    """No ledger.jsonl holds a line `breach`, and final.json names the same weights as result.json.

    final.json is written before the split opens. selection.json names the unit with its parameters; no search
    unit has test scores.
    """
    return together(_no_breach(suite), _final_weights(suite), _selected_params(suite))


def _no_breach(suite: SuiteRecords) -> Verdict:
    everybody: list[UnitRecords | Aside] = [*suite.units, *suite.others]
    found = {one.folder.id: text for one in everybody if (text := _breach(one))}
    if found:
        head = f"{counted(len(found), 'unit')} asked for test cases too early"
        return Verdict("not held", (head, *found.values()), tuple(found))
    ran = sum(bool(one.ledger) for one in everybody)
    return held(f"no line `breach` in the ledger.jsonl of any of {counted(ran, 'unit')} that ran")


def _breach(one: UnitRecords | Aside) -> str:
    """What a unit did with the test split that it must not; empty if nothing."""
    where = f"{one.unit.label} (units/{one.folder.id[:10]})"
    notes = [line.note or "" for line in one.ledger if line.kind == "breach"]
    if notes:
        return f"{where}/ledger.jsonl: {len(notes)} x breach, the first: {notes[0]}"
    if isinstance(one, Aside) and one.tested and one.unit.role == "search":
        return f"{where}/cases.parquet: a unit of the search was tested"
    return ""


def _final_weights(suite: SuiteRecords) -> Verdict:
    if not suite.finished:
        return nothing_finished(suite)
    other = [one.records for one in suite.finished if one.records.final_sha256 not in (None, one.result.weights_sha256)]
    if other:
        return broken(other, f"final.json and result.json name different weights: {names(other)}")
    absent = [one.records for one in suite.finished if one.records.final_sha256 is None]
    known = len(suite.finished) - len(absent)
    lines = [f"weights hashed in final.json before the split opened are the result's, in {counted(known, 'unit')}"]
    if absent:
        lines.append(f"{NOT_RECORDED}final.json of {counted(len(absent), 'unit')}: {names(absent)}")
    return held(*lines) if known else not_applicable(lines[-1])


def _selected_params(suite: SuiteRecords) -> Verdict:
    params = {entry.unit: entry.params for entry in suite.selection.entries}
    other = [one for one in suite.units if params.get(one.folder.id) != one.unit.params]
    if other:
        return broken(other, f"selection.json and unit.json name different hyper-parameters: {names(other)}")
    return held()


@rule(
    6,
    "The last checkpoint counts, for every method",
    "A validation list holds more labels than a 3- or 7-patient training subset, and best and last were mixed in one "
    "table.",
    practices=(3, 4),
)
def last_checkpoint(suite: SuiteRecords) -> Verdict:
    """cases.parquet of every unit holds `last`, the primary column, and `best_val`.

    `best_val` is the look of result.json with the highest validation Dice. Where no look has one, since the dataset
    has no validation cases, there is `last` alone.
    """
    if suite.cases.empty:
        return nothing_finished(suite)
    columns = {str(unit): set(own) for unit, own in suite.cases.groupby("unit")["selection"]}
    validated = {one.records.folder.id for one in suite.finished if best_look(one) is not None}
    other = suite.named(unit for unit, own in columns.items() if own != (COLUMNS if unit in validated else {"last"}))
    if other:
        return broken(other, f"cases.parquet does not hold last and best_val: {names(other)}")
    wrong = [one.records for one in suite.finished if one.result.best_look != best_look(one)]
    if wrong:
        return broken(wrong, f"best_look of result.json is not the best of its looks: {names(wrong)}")
    which = "both columns" if validated else "`last` alone, without validation cases,"
    return held(f"{which} in cases.parquet of all {counted(len(columns), 'finished unit')}; `last` ranks")


def best_look(one: Finished) -> int | None:
    """The first of the looks with the highest mean Dice; None without looks, or without validation cases."""
    scored = [(look.mean_dice, -look.look) for look in one.result.looks if look.mean_dice is not None]
    return -max(scored)[1] if scored else None


@rule(
    7,
    "Every method is tuned with the same budget, on validation alone",
    "Newcomers are tuned, some on the very split of the comparison, while their baselines keep a library's defaults.",
    practices=(25, 26),
)
def equal_tuning(suite: SuiteRecords) -> Verdict:
    """What the trials of points.json spent adds up to the same for every row, within one step a unit and 1 %.

    Useful spending alone, or with what interruptions cost: an adaptive search charges a row for that too. Or a trial
    that failed is counted at the budget it was given: a method that diverged was tuned no less than the others.
    """
    if suite.points is None:
        return not_applicable("no search ran: there is no points.json; parameters are those of the suite")
    searched = [one for units in suite.trials.values() for one in units]
    running = [one for one in searched if one.result is None]
    if running or not searched:
        return not_applicable(f"the search has not ended: {len(running)} of {counted(len(searched), 'unit')} to go")
    names = {entry.slot.method for entry in suite.selection.entries if entry.ranked} | set(suite.trials)
    rows = {row: suite.trials.get(row, []) for row in sorted(names)}
    lines = [f"{row}: {_spent_text(units)}" for row, units in rows.items()]
    slack = max(sum(map(longest_step, units)) for units in rows.values())
    if not any(_alike([sum(map(one, units)) for units in rows.values()], slack) for one in (useful, spending, granted)):
        return Verdict("not held", ("methods were tuned with different budgets", *lines))
    return held("the same search budget for every row (units/*/ledger.jsonl)", *lines)


def _alike(totals: Sequence[float], slack: float) -> bool:
    return max(totals) - min(totals) <= max(totals) * TUNING_TOLERANCE + slack


def useful(one: Aside) -> float:
    """What a unit spent usefully, in the currency of its budget."""
    spent = summarise(one.ledger)
    return float(spent.useful_steps) if one.unit.budget.steps is not None else spent.useful_device_seconds


def spending(one: Aside) -> float:
    """What a unit spent in all, lost to interruptions or not."""
    spent = summarise(one.ledger)
    lost = float(spent.lost_steps) if one.unit.budget.steps is not None else spent.lost_device_seconds
    return useful(one) + lost


def granted(one: Aside) -> float:
    """What a unit spent usefully, or could have spent where it failed."""
    budget, failed = one.unit.budget, one.result is not None and one.result.status == "failed"
    return float(budget.steps or budget.device_seconds or 0.0) if failed else useful(one)


def longest_step(one: Aside) -> float:
    """The longest step of a unit in the currency of its budget."""
    if one.unit.budget.steps is not None:
        return 0.0
    return 0.0 if one.result is None else one.result.longest_step_seconds


def _spent_text(units: Sequence[Aside]) -> str:
    currency = units[0].unit.budget.currency if units else ""
    failed = sum(one.result is not None and one.result.status == "failed" for one in units)
    text = f"{counted(len(units), 'unit')}, {sum(map(spending, units)):,.1f} {currency}".rstrip()
    return f"{text}, {failed} of them failed" if failed else text
