"""Rules about the clock: work outside it, what is free, schedules and batches."""

from __future__ import annotations

from collections.abc import Sequence

from harness.audit.evidence import (
    NOT_RECORDED,
    combine,
    counted,
    group_by_entry,
    held,
    not_applicable,
    not_held,
    not_held_by_results,
    one_value,
    spread,
)
from harness.audit.finding import Verdict
from harness.audit.records import AuditedSuite, EndedRun
from harness.audit.rule import rule

OTHER_THREADS_SHARE, OTHER_THREADS_SECONDS = 0.05, 0.1
"""What threads beside the training one may take: heartbeats and the display of a run take about a per cent."""
RATE_ERROR = 1e-6
NO_HISTORY = f"{NOT_RECORDED}history.parquet; imported records may come without it"


@rule(
    11,
    "Nothing trains outside the clock",
    "Work on other threads, or during a validation, is compute that the budget does not see.",
)
def outside_the_clock(suite: AuditedSuite) -> Verdict:
    """Parameters and buffers are hashed before and after each validation and must not differ.

    On a CPU all threads of the process together take at most 5 % (and 0.1 s) more CPU time in training steps
    than was charged.
    """
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


@rule(
    12,
    "Evaluation and warm-up are free, and the same for every method",
    "Validation of one published method took about half of its training cost.",
    needs="runs",
)
def free_for_all(suite: AuditedSuite) -> Verdict:
    """Validations and warm-up steps asked for in run.json are the same for every run.

    result.json shows wall seconds by phase.
    """
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


@rule(
    14,
    "Schedules are functions of progress",
    "A ramp or a decay that was tuned for 30,000 iterations means nothing under another budget.",
)
def schedules(suite: AuditedSuite) -> Verdict:
    """The learning rates in history.parquet are a function of stage progress: the engine's schedule.

    Staircases of the literature show in the parameters of run.json.
    """
    traces = {run: run.trace for run in suite.finished if run.trace is not None}
    if not traces:
        return not_applicable(NO_HISTORY)
    if other := [run for run, trace in traces.items() if trace.rate_error > RATE_ERROR]:
        return not_held(other, "learning rates in history.parquet are no function of progress")
    steps = sum(trace.steps for trace in traces.values())
    lines = [f"learning rates of {steps:,} steps in history.parquet of {counted(len(traces), 'run')} follow progress"]
    if stairs := group_by_entry(run for run in traces if _has_stairs(run)):
        lines.append(f"staircases, a setting of the literature: {', '.join(stairs)}")
    return held(*lines)


def _has_stairs(run: EndedRun) -> bool:
    return any("stairs" in name and value for name, value in run.asked.params.items())


@rule(
    15,
    "Exposure is shown and batches are of one size",
    "Twice the labelled images a step is an advantage that no budget of iterations shows.",
)
def exposure(suite: AuditedSuite) -> Verdict:
    """Images seen in result.json are at most steps times the batch size of run.json.

    Labelled images are shown beside them.
    """
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
