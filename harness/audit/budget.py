"""Rules about budget and clock: what a run may spend, that all of it is counted once, and what happens outside."""

from collections.abc import Sequence

from harness.audit.finding import Verdict, combine, held, not_applicable, not_held, not_held_by_results
from harness.audit.records import AuditedSuite, EndedRun, SelectedRun
from harness.audit.rule import NOT_RECORDED, counted, group_by_entry, one_value, rule, spread
from harness.records.calibration import judge_cells
from harness.records.ledger import summarise
from harness.train.clock import SYNCHRONISE_EVERY_STEPS

ROUNDING = 1e-6
"""Relative difference between sums of the same seconds in another order."""


OTHER_THREADS_SHARE, OTHER_THREADS_SECONDS = 0.05, 0.1
"""What threads beside the training one may take: heartbeats and the display of a run take about a per cent."""
RATE_ERROR = 1e-6
NO_HISTORY = f"{NOT_RECORDED}history.parquet; imported records may come without it"


@rule(8, needs="runs")
def one_budget(suite: AuditedSuite) -> Verdict:
    return one_value(suite.runs, "budget of a run", _budget)


def _budget(run: SelectedRun) -> str:
    rung = run.planned_run.rung
    on_it = rung is not None and run.asked.budget.reference_steps == rung
    return "the reference steps of its rung" if on_it else str(run.asked.budget)


@rule(9)
def all_stages(suite: AuditedSuite) -> Verdict:
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


@rule(10)
def no_overspending(suite: AuditedSuite) -> Verdict:
    if other := [run for run in suite.finished if _other_steps(run)]:
        return not_held(other, "stages took other steps (result.json) than run.json gives them")
    if missed := [run for run in suite.finished if abs(excess(run)) > slack(run)]:
        lines = (
            f"{spent(run):,.3f} of {run.asked.budget}, {abs(excess(run)):,.3f} "
            f"{'too many' if excess(run) > 0 else 'left'}; allowed {slack(run):,.3f}"
            for run in missed
        )
        return not_held_by_results(missed, f"{counted(len(missed), 'run')} missed the budget", lines)
    over, under = max(map(excess, suite.finished)), min(map(excess, suite.finished))
    currency = suite.finished[0].asked.budget.currency.replace("_", " ")
    budgets = " or ".join(dict.fromkeys(str(run.asked.budget) for run in suite.finished))
    return held(
        f"{spread([spent(run) for run in suite.finished], f' {currency}', 2)} spent by "
        f"{counted(len(suite.finished), 'finished run')} of {budgets} each: "
        f"at most {max(0.0, over):.3f} over and {max(0.0, -under):.3f} left; longest step "
        f"{max(run.result.longest_step_seconds for run in suite.finished):.3f} s"
    )


def _other_steps(run: EndedRun) -> bool:
    """Whether a stage took other steps than its share of reference steps buys."""
    stages = run.asked.budget.stages
    return stages is not None and {each.name: each.steps for each in stages} != run.result.stage_steps


def spent(run: EndedRun) -> float:
    """Useful spending in the currency of the budget."""
    return run.in_currency(run.result.spent.useful_steps, run.result.spent.useful_device_seconds)


def excess(run: EndedRun) -> float:
    """Spent above the budget, in its currency; negative where something is left."""
    return spent(run) - run.asked.budget.amount


def slack(run: EndedRun) -> float:
    """By how much a run may miss its budget, in its currency."""
    steps = SYNCHRONISE_EVERY_STEPS if run.device_type == "cuda" else 1
    rounding = ROUNDING * run.asked.budget.amount
    return run.in_currency(0.0, steps * run.result.longest_step_seconds) + rounding


@rule(13)
def counted_once(suite: AuditedSuite) -> Verdict:
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


@rule(11)
def outside_the_clock(suite: AuditedSuite) -> Verdict:
    return combine(_validations(suite.finished), _threads(suite.finished))


def _validations(finished: Sequence[EndedRun]) -> Verdict:
    if trained := [run for run in finished if run.observed.validations_that_trained]:
        return not_held(trained, "validations changed parameters or buffers (result.json)")
    validations = sum(len(run.result.validations) for run in finished)
    return held(
        f"no parameter or buffer changed in {counted(validations, 'validation')} of {counted(len(finished), 'run')}"
    )


def _threads(finished: Sequence[EndedRun]) -> Verdict:
    on_cpu = [run for run in finished if run.device_type == "cpu"]
    if not on_cpu:
        return not_applicable("threads: on a GPU events on the device are charged, whichever thread asked")
    charged = {run: run.trace.seconds for run in on_cpu if run.trace is not None}
    if not charged:
        return not_applicable(f"threads: {NO_HISTORY}")
    used = {run: run.observed.process_cpu_seconds for run in charged}
    limit = 1 + OTHER_THREADS_SHARE
    if busy := [run for run in charged if used[run] > charged[run] * limit + OTHER_THREADS_SECONDS]:
        lines = (f"{used[run]:,.2f} CPU-seconds in steps, {charged[run]:,.2f} charged" for run in busy)
        return not_held_by_results(busy, "other threads worked in training steps", lines)
    most = max((used[run] / charged[run] - 1.0 for run in charged if charged[run] > 0), default=0.0)
    return held(f"CPU time of all threads in steps is at most {max(0.0, most):.1%} above what was charged")


@rule(12, needs="runs")
def free_for_all(suite: AuditedSuite) -> Verdict:
    asked = one_value(
        suite.runs,
        "validations and warm-up steps",
        lambda run: (
            f"{run.asked.engine.validations} validations, {run.asked.engine.warmup_steps} uncharged warm-up steps"
        ),
    )
    if not suite.finished:
        return asked
    train, evaluation = (
        sum(run.result.wall_seconds.get(phase, 0.0) for run in suite.finished) for phase in ("train", "eval")
    )
    return combine(asked, held(f"wall seconds in all (result.json): {train:,.0f} train, {evaluation:,.0f} evaluation"))


@rule(14)
def schedules(suite: AuditedSuite) -> Verdict:
    traces = {run: run.trace for run in suite.finished if run.trace is not None}
    if not traces:
        return not_applicable(NO_HISTORY)
    if other := [run for run, trace in traces.items() if trace.rate_error > RATE_ERROR]:
        return not_held(other, "learning rates in history.parquet are no function of progress")
    steps = sum(trace.steps for trace in traces.values())
    lines = [f"learning rates of {steps:,} steps in history.parquet of {counted(len(traces), 'run')} follow progress"]
    stairs = group_by_entry(
        run for run in traces if any("stairs" in name and value for name, value in run.asked.params.items())
    )
    if stairs:
        lines.append(f"staircases, a setting of the literature: {', '.join(stairs)}")
    return held(*lines)


@rule(15)
def exposure(suite: AuditedSuite) -> Verdict:
    allowed = {run: run.result.spent.useful_steps * run.asked.engine.batch_size for run in suite.finished}
    if larger := [run for run in suite.finished if run.result.images_seen > allowed[run]]:
        lines = (
            f"{run.result.images_seen:,} images in {run.result.spent.useful_steps:,} steps of "
            f"{run.asked.engine.batch_size}"
            for run in larger
        )
        return not_held_by_results(larger, "batches are larger than the suite's", lines)
    return held(*(f"{method}: {_seen(runs)}" for method, runs in group_by_entry(suite.finished).items()))


def _seen(runs: Sequence[EndedRun]) -> str:
    images = spread([run.result.images_seen for run in runs], " images")
    return f"{images}, of which labelled {spread([run.result.labelled_images_seen for run in runs])}"


@rule(35)
def steps_cost_what_they_are_said_to(suite: AuditedSuite) -> Verdict:
    asked = [run for run in suite.finished if run.asked.calibration is not None]
    if not asked:
        return not_applicable("no budget of reference steps, so no steps were resolved by their cost")
    sealed = {
        (each.header.hash, entry)
        for each in suite.calibrations
        for entry in (None, *(cost.digest for cost in each.entries))
    }
    if other := [
        run for run in asked if (named := run.asked.calibration) and (named.header, named.entry) not in sealed
    ]:
        return not_held(other, "calibrations/ lacks the costs that run.json names: removed, or edited by hand")
    if dear := [run for run in asked if _calibrated_cost(run, suite) > run.asked.budget.amount * (1 + ROUNDING)]:
        return not_held(dear, "run.json has more steps than its budget buys at the costs that it names")
    paces = ([own.pace for own in run.result.validations if own.pace is not None] for run in asked)
    cells_and_paces = ((_cell(run), run.asked.calibration, own) for run, own in zip(asked, paces, strict=True))
    judged = judge_cells(cells_and_paces, suite.calibrations)
    lines = [
        f"{cell}, stage {stage}: {own.deviation:+.1%} in {counted(own.samples, 'supervised step')}, {own.verdict}"
        for (cell, stage), own in sorted(judged.items())
    ]
    if refuted := {cell for (cell, _), own in judged.items() if own.verdict == "not ranked"}:
        guilty = [run for run in asked if _cell(run) in refuted]
        return not_held(guilty, "steps cost something else than their calibration says", *lines)
    if all(own.verdict == "not judged" for own in judged.values()):
        return not_applicable(f"{NOT_RECORDED}30 supervised steps beside the runs of any cell", *lines)
    return held(*lines)


def _calibrated_cost(run: EndedRun, suite: AuditedSuite) -> float:
    """Of a run's steps, in supervised steps; what stages do before and between their steps comes on top."""
    named = run.asked.calibration
    by_stage = (each.ratios(named.entry) for each in suite.calibrations if named and each.header.hash == named.header)
    ratios = next(by_stage, {})
    return sum(stage.steps * ratios.get(stage.name, 1.0) for stage in run.asked.budget.stages or ())


def _cell(run: EndedRun) -> str:
    return f"{run.entry}@{run.asked.labelled or 'all'}"
