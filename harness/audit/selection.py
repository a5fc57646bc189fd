"""Rules about selection: when the test split opens, which checkpoint counts, how methods are tuned."""

from collections.abc import Sequence

from harness.audit.finding import Verdict, combine, held, held_unless, not_applicable, not_held
from harness.audit.records import AuditedRun, AuditedSuite, EndedRun
from harness.audit.rule import counted, nothing_finished, rule
from harness.records.ledger import summarise

TUNING_TOLERANCE = 0.01
"""By how much the search budgets of two methods may differ, beside one step a run."""


@rule(5, needs="selection")
def one_test(suite: AuditedSuite) -> Verdict:
    params = {entry.run: entry.params for entry in suite.selection.entries}
    other = [run for run in suite.runs if params.get(run.id) != run.asked.params]
    return combine(
        _no_violation(suite),
        _final_weights(suite),
        held_unless(other, "selection.json and run.json name different hyper-parameters"),
    )


def _no_violation(suite: AuditedSuite) -> Verdict:
    runs = (*suite.runs, *suite.others)
    violations = {run.id: text for run in runs if (text := _violation(run))}
    if violations:
        head = f"{counted(len(violations), 'run')} with a test access violation"
        return Verdict("not held", (head, *violations.values()), tuple(violations))
    ran = sum(bool(run.ledger) for run in runs)
    return held(f"no line `violation` in the ledger.jsonl of any of {counted(ran, 'run')} that ran")


def _violation(run: AuditedRun) -> str:
    """Where and how a run used the test split against the rule; empty if it did not."""
    where = f"{run.asked.label} (runs/{run.id[:10]})"
    notes = [line.note or "" for line in run.ledger if line.kind == "violation"]
    if notes:
        return f"{where}/ledger.jsonl: {counted(len(notes), 'test access violation')}, the first: {notes[0]}"
    if run.tested and run.asked.role == "search":
        return f"{where}/cases.parquet: a run of the search was tested"
    return ""


def _final_weights(suite: AuditedSuite) -> Verdict:
    if not suite.finished:
        return nothing_finished(suite)
    if other := [run for run in suite.finished if run.final_sha256 != run.result.weights_sha256]:
        return not_held(other, "final.json and result.json name different weights")
    runs = counted(len(suite.finished), "run")
    return held(f"weights hashed in final.json before the split opened are the result's, in {runs}")


@rule(6, needs="cases")
def last_checkpoint(suite: AuditedSuite) -> Verdict:
    columns = {str(run): set(own) for run, own in suite.cases.groupby("run")["checkpoint"]}
    validated = {run.id for run in suite.finished if best_validation(run) is not None}
    if other := suite.named(
        run for run, own in columns.items() if own != ({"last", "best_val"} if run in validated else {"last"})
    ):
        return not_held(other, "cases.parquet does not hold last and best_val")
    if wrong := [run for run in suite.finished if run.result.best_validation != best_validation(run)]:
        return not_held(wrong, "best_validation of result.json is not the best of its validations")
    which = "both columns" if validated else "`last` alone, without validation cases,"
    return held(f"{which} in cases.parquet of all {counted(len(columns), 'finished run')}; `last` ranks")


def best_validation(run: EndedRun) -> int | None:
    """The first of the validations with the highest mean Dice.

    None without validations, or without validation cases.
    """
    scored = [
        (validation.mean_dice, -validation.validation)
        for validation in run.result.validations
        if validation.mean_dice is not None
    ]
    return -max(scored)[1] if scored else None


@rule(7, needs="selection")
def equal_tuning(suite: AuditedSuite) -> Verdict:
    if suite.search is None:
        return not_applicable("no search ran: there is no trials.json; parameters are those of the suite")
    searched = [run for runs in suite.trials.values() for run in runs]
    running = [run for run in searched if run.result is None]
    if running or not searched:
        return not_applicable(f"the search has not ended: {len(running)} of {counted(len(searched), 'run')} to go")
    entries = {run.entry for run in suite.ranked} | set(suite.trials)
    trials = {entry: suite.trials.get(entry, []) for entry in sorted(entries)}
    lines = [f"{entry}: {_spent_text(runs)}" for entry, runs in trials.items()]
    slack = max(sum(map(longest_step, runs)) for runs in trials.values())
    for measure in (useful, spending, granted):
        totals = [sum(map(measure, runs)) for runs in trials.values()]
        if max(totals) - min(totals) <= max(totals) * TUNING_TOLERANCE + slack:
            return held("the same search budget for every entry (runs/*/ledger.jsonl)", *lines)
    return not_held([], "entries were tuned with different budgets", *lines)


def useful(run: AuditedRun) -> float:
    """What a run spent usefully, in the currency of its budget."""
    spent = summarise(run.ledger)
    return run.in_currency(spent.useful_steps, spent.useful_device_seconds)


def spending(run: AuditedRun) -> float:
    """What a run spent in all, with what interruptions cost, in the currency of its budget."""
    spent = summarise(run.ledger)
    return useful(run) + run.in_currency(spent.lost_steps, spent.lost_device_seconds)


def granted(run: AuditedRun) -> float:
    """What a run spent usefully, or could have spent where it failed, in the currency of its budget."""
    return run.asked.budget.amount if run.failed else useful(run)


def longest_step(run: AuditedRun) -> float:
    """The longest step of a run in seconds; 0 where its budget is in steps."""
    return run.in_currency(0.0, 0.0 if run.result is None else run.result.longest_step_seconds)


def _spent_text(runs: Sequence[AuditedRun]) -> str:
    currency = runs[0].asked.budget.currency if runs else ""
    failed = sum(run.failed for run in runs)
    text = f"{counted(len(runs), 'run')}, {sum(map(spending, runs)):,.1f} {currency}".rstrip()
    return f"{text}, {failed} of them failed" if failed else text
