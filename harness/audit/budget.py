"""Rules about the budget: how much a unit may spend, and that all of it is counted, once."""

from __future__ import annotations

from harness.audit.evidence import broken, counted, held, names, nothing_finished, one_value, spread
from harness.audit.finding import Verdict
from harness.audit.records import Finished, SuiteRecords
from harness.audit.rule import rule
from harness.records.ledger import summarise
from harness.train.clock import SYNCHRONISE_EVERY_STEPS

ROUNDING = 1e-6
"""Relative; sums of the same seconds in another order."""


@rule(
    8,
    "One budget for all methods, in one currency",
    "A step of one method costs up to 28 steps of another, and papers compare 6,000 iterations with 60,000.",
    practices=(5, 7),
)
def one_budget(suite: SuiteRecords) -> Verdict:
    """The budget in unit.json is the same for every unit, reference rows included."""
    if not suite.units:
        return nothing_finished(suite)
    return one_value(suite.units, "budget of a unit", lambda one: str(one.unit.budget), "unit.json")


@rule(
    9,
    "All stages of a method count",
    "Pre-training that nobody counts is the easiest way to more compute.",
    practices=(5,),
)
def all_stages(suite: SuiteRecords) -> Verdict:
    """Seconds and steps by stage in result.json add up to what the unit spent in all."""
    if not suite.finished:
        return nothing_finished(suite)
    other = [one.records for one in suite.finished if not _adds_up(one)]
    if other:
        return broken(other, f"stages do not add up to what result.json says was spent: {names(other)}")
    stages = {one.row: list(one.result.stage_device_seconds) for one in suite.finished}
    listed = "; ".join(f"{method}: {', '.join(names_)}" for method, names_ in stages.items())
    return held(f"stages add up in result.json of all {counted(len(suite.finished), 'finished unit')} ({listed})")


def _adds_up(one: Finished) -> bool:
    seconds = sum(one.result.stage_device_seconds.values())
    spent = one.result.spent
    close = abs(seconds - spent.useful_device_seconds) <= ROUNDING * max(1.0, spent.useful_device_seconds)
    return close and sum(one.result.stage_steps.values()) == spent.useful_steps


@rule(
    10,
    "No unit misses its budget by more than one step",
    "Equal budgets on paper are not equal compute if one method may overrun.",
)
def no_overspending(suite: SuiteRecords) -> Verdict:
    """What result.json says was spent is at most one longest step above or below the budget.

    On CUDA that is the steps between two synchronisations; a budget of steps is met exactly.
    """
    if not suite.finished:
        return nothing_finished(suite)
    missed = [one for one in suite.finished if abs(excess(one)) > slack(one)]
    if missed:
        lines = [
            f"{one.records.name}/result.json: {spent(one):,.3f} of {one.unit.budget}, "
            f"{abs(excess(one)):,.3f} {'too many' if excess(one) > 0 else 'left'}; allowed {slack(one):,.3f}"
            for one in missed
        ]
        return broken([one.records for one in missed], f"{counted(len(missed), 'unit')} missed the budget", *lines)
    over, under = max(map(excess, suite.finished)), min(map(excess, suite.finished))
    units = suite.finished[0].unit.budget.currency
    return held(
        f"{spread([spent(one) for one in suite.finished], f' {units}', 2)} spent by "
        f"{counted(len(suite.finished), 'finished unit')} of {suite.finished[0].unit.budget} each: "
        f"at most {max(0.0, over):.3f} over and {max(0.0, -under):.3f} left; longest step "
        f"{max(one.result.longest_step_seconds for one in suite.finished):.3f} s"
    )


def spent(one: Finished) -> float:
    """Useful spending in the currency of the budget."""
    if one.unit.budget.steps is not None:
        return float(one.result.spent.useful_steps)
    return one.result.spent.useful_device_seconds


def excess(one: Finished) -> float:
    """Spent above the budget, in its currency; negative where something is left."""
    return spent(one) - one.unit.budget.amount


def slack(one: Finished) -> float:
    """By how much a unit may miss its budget, in its currency."""
    if one.unit.budget.steps is not None:
        return 0.0
    environment = one.records.environment
    on_cuda = environment is not None and environment.device_type == "cuda"
    return one.result.longest_step_seconds * (SYNCHRONISE_EVERY_STEPS if on_cuda else 1) + ROUNDING


@rule(
    13,
    "Useful seconds count once, lost ones are shown",
    "Whoever is interrupted must neither pay for it nor train on for free.",
)
def counted_once(suite: SuiteRecords) -> Verdict:
    """Summed anew, ledger.jsonl gives what result.json says was useful and lost."""
    if not suite.finished:
        return nothing_finished(suite)
    other = [one.records for one in suite.finished if not _agrees(one)]
    if other:
        return broken(other, f"ledger.jsonl and result.json disagree on what was spent: {names(other)}")
    lost = sum(one.result.spent.lost_device_seconds for one in suite.finished)
    attempts = sum(one.result.spent.attempts for one in suite.finished)
    return held(
        f"ledger.jsonl and result.json agree for all {counted(len(suite.finished), 'finished unit')}: "
        f"{counted(attempts, 'attempt')}, {lost:,.1f} device-seconds lost to interruptions"
    )


def _agrees(one: Finished) -> bool:
    ledger, result = summarise(one.records.ledger), one.result.spent
    pairs = (
        (ledger.useful_device_seconds, result.useful_device_seconds),
        (ledger.lost_device_seconds, result.lost_device_seconds),
    )
    close = all(abs(a - b) <= ROUNDING * max(1.0, b) for a, b in pairs)
    return close and (ledger.useful_steps, ledger.attempts) == (result.useful_steps, result.attempts)
