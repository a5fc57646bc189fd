"""Rules about the budget: how much a run may spend, and that all of it is counted, once."""

from __future__ import annotations

from harness.audit.evidence import counted, group_by_entry, held, not_held, not_held_by_results, one_value, spread
from harness.audit.finding import Verdict
from harness.audit.records import AuditedSuite, EndedRun
from harness.audit.rule import rule
from harness.records.ledger import summarise
from harness.train.clock import SYNCHRONISE_EVERY_STEPS

ROUNDING = 1e-6
"""Relative difference between sums of the same seconds in another order."""


@rule(
    8,
    "One budget for all methods, in one currency",
    "A step of one method costs up to 28 steps of another, and papers compare 6,000 iterations with 60,000.",
    needs="runs",
)
def one_budget(suite: AuditedSuite) -> Verdict:
    """The budget in run.json is the same for every run, fully supervised references included."""
    return one_value(suite.runs, "budget of a run", lambda run: str(run.asked.budget))


@rule(9, "All stages of a method count", "Pre-training that nobody counts is the easiest way to more compute.")
def all_stages(suite: AuditedSuite) -> Verdict:
    """Seconds and steps by stage in result.json add up to what the run spent in all."""
    if other := [run for run in suite.finished if not _adds_up(run)]:
        return not_held(other, "stages do not add up to what result.json says was spent")
    methods = group_by_entry(suite.finished).items()
    stages = "; ".join(f"{method}: {', '.join(runs[-1].result.stage_device_seconds)}" for method, runs in methods)
    return held(f"stages add up in result.json of all {counted(len(suite.finished), 'finished run')} ({stages})")


def _adds_up(run: EndedRun) -> bool:
    result, spent = run.result, run.result.spent
    same_seconds = _close(sum(result.stage_device_seconds.values()), spent.useful_device_seconds)
    return same_seconds and sum(result.stage_steps.values()) == spent.useful_steps


def _close(seconds: float, expected: float) -> bool:
    return abs(seconds - expected) <= ROUNDING * max(1.0, expected)


@rule(
    10,
    "No run misses its budget by more than one step",
    "Equal budgets on paper are not equal compute if one method may overrun.",
)
def no_overspending(suite: AuditedSuite) -> Verdict:
    """What result.json says was spent is at most one longest step above or below the budget.

    On CUDA that is the steps between two synchronisations; a budget of steps is met exactly.
    """
    if missed := [run for run in suite.finished if abs(excess(run)) > slack(run)]:
        lines = (
            f"{spent(run):,.3f} of {run.asked.budget}, {abs(excess(run)):,.3f} "
            f"{'too many' if excess(run) > 0 else 'left'}; allowed {slack(run):,.3f}"
            for run in missed
        )
        return not_held_by_results(missed, f"{counted(len(missed), 'run')} missed the budget", lines)
    over, under = max(map(excess, suite.finished)), min(map(excess, suite.finished))
    budget = suite.finished[0].asked.budget
    return held(
        f"{spread([spent(run) for run in suite.finished], f' {budget.currency}', 2)} spent by "
        f"{counted(len(suite.finished), 'finished run')} of {budget} each: "
        f"at most {max(0.0, over):.3f} over and {max(0.0, -under):.3f} left; longest step "
        f"{max(run.result.longest_step_seconds for run in suite.finished):.3f} s"
    )


def spent(run: EndedRun) -> float:
    """Useful spending in the currency of the budget."""
    return run.in_currency(run.result.spent.useful_steps, run.result.spent.useful_device_seconds)


def excess(run: EndedRun) -> float:
    """Spent above the budget, in its currency; negative where something is left."""
    return spent(run) - run.asked.budget.amount


def slack(run: EndedRun) -> float:
    """By how much a run may miss its budget, in its currency."""
    steps = SYNCHRONISE_EVERY_STEPS if run.device_type == "cuda" else 1
    return run.in_currency(0.0, steps * run.result.longest_step_seconds + ROUNDING)


@rule(
    13,
    "Useful seconds count once, lost ones are shown",
    "Whoever is interrupted must neither pay for it nor train on for free.",
)
def counted_once(suite: AuditedSuite) -> Verdict:
    """Summed anew, ledger.jsonl gives what result.json says was useful and lost."""
    if other := [run for run in suite.finished if not _agrees(run)]:
        return not_held(other, "ledger.jsonl and result.json disagree on what was spent")
    lost = sum(run.result.spent.lost_device_seconds for run in suite.finished)
    attempts = sum(run.result.spent.attempts for run in suite.finished)
    return held(
        f"ledger.jsonl and result.json agree for all {counted(len(suite.finished), 'finished run')}: "
        f"{counted(attempts, 'attempt')}, {lost:,.1f} device-seconds lost to interruptions"
    )


def _agrees(run: EndedRun) -> bool:
    ledger, result = summarise(run.ledger), run.result.spent
    same_seconds = _close(ledger.useful_device_seconds, result.useful_device_seconds) and _close(
        ledger.lost_device_seconds, result.lost_device_seconds
    )
    return same_seconds and (ledger.useful_steps, ledger.attempts) == (result.useful_steps, result.attempts)
