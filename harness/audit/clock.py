"""Rules about the clock: what runs beside it, what is free, what schedules and batches follow."""

from __future__ import annotations

from collections.abc import Sequence

from harness.audit.evidence import (
    NOT_RECORDED,
    broken,
    counted,
    groups,
    held,
    names,
    not_applicable,
    nothing_finished,
    one_value,
    spread,
    together,
    unseen_by_old_versions,
)
from harness.audit.finding import Verdict
from harness.audit.records import Finished, SuiteRecords
from harness.audit.rule import rule
from harness.records.schema import Unit

OTHER_THREADS_SHARE, OTHER_THREADS_SECONDS = 0.05, 0.1
"""What threads beside the training one may take: heartbeats and the display of a run take about a per cent."""
RATE_ERROR = 1e-6


@rule(
    11,
    "Nothing trains outside the clock",
    "Work on other threads, or during a validation look, is compute that the budget does not see.",
    practices=(32,),
)
def outside_the_clock(suite: SuiteRecords) -> Verdict:
    """Parameters and buffers are hashed before and after each look and must not differ.

    On a CPU all threads of the process together take at most 5 % (and 0.1 s) more CPU time in training steps
    than was charged.
    """
    watched = [one for one in suite.finished if one.observed is not None]
    old = unseen_by_old_versions(suite.finished)
    if not watched:
        return not_applicable(*old) if old else nothing_finished(suite)
    return together(_looks(watched), _threads(watched), not_applicable(*old))


def _looks(watched: Sequence[Finished]) -> Verdict:
    trained = [one for one in watched if one.observed is not None and one.observed.looks_that_trained]
    if trained:
        guilty = [one.records for one in trained]
        return broken(guilty, f"validation looks changed parameters or buffers (result.json): {names(guilty)}")
    looks = sum(len(one.result.looks) for one in watched)
    return held(f"no parameter or buffer changed in {counted(looks, 'look')} of {counted(len(watched), 'unit')}")


def _threads(watched: Sequence[Finished]) -> Verdict:
    on_cpu = [
        (one, one.observed.process_cpu_seconds, one.records.trace.seconds)
        for one in watched
        if one.observed is not None and one.records.trace is not None and _device(one) == "cpu"
    ]
    if not on_cpu:
        return not_applicable("threads: on a GPU events on the device are charged, whichever thread asked")
    busy = [
        (one, used, charged)
        for one, used, charged in on_cpu
        if used > charged * (1 + OTHER_THREADS_SHARE) + OTHER_THREADS_SECONDS
    ]
    if busy:
        lines = [
            f"{one.records.name}/result.json: {used:,.2f} CPU-seconds in steps, {charged:,.2f} charged"
            for one, used, charged in busy
        ]
        return broken([one.records for one, _, _ in busy], "other threads worked in training steps", *lines)
    most = max((used / charged - 1.0 for _, used, charged in on_cpu if charged > 0), default=0.0)
    return held(f"CPU time of all threads in steps is at most {max(0.0, most):.1%} above what was charged")


def _device(one: Finished) -> str:
    return "" if one.records.environment is None else one.records.environment.device_type


@rule(
    12,
    "Evaluation and warm-up are free, and the same for every method",
    "Validation of one published method took about half of its training cost.",
    practices=(8,),
)
def free_for_all(suite: SuiteRecords) -> Verdict:
    """Looks and warm-up steps asked for in unit.json are the same for every unit.

    Wall seconds by phase stand in result.json.
    """
    if not suite.units:
        return nothing_finished(suite)
    asked = one_value(
        suite.units,
        "looks and warm-up steps",
        lambda one: f"{one.unit.engine.looks} looks, {one.unit.engine.warmup_steps} uncharged warm-up steps",
        "unit.json",
    )
    if not suite.finished:
        return asked
    walls = {
        phase: sum(one.result.wall_seconds.get(phase, 0.0) for one in suite.finished) for phase in ("train", "eval")
    }
    shown = f"wall seconds in all (result.json): {walls['train']:,.0f} train, {walls['eval']:,.0f} evaluation"
    return together(asked, held(shown))


@rule(
    14,
    "Schedules are functions of progress",
    "A ramp or a decay that was tuned for 30,000 iterations means nothing under another budget.",
    practices=(9, 10),
)
def schedules(suite: SuiteRecords) -> Verdict:
    """The learning rates in history.parquet are a function of stage progress: the engine's schedule.

    Staircases of the literature show in the parameters of unit.json.
    """
    traced = [(one.records, one.records.trace) for one in suite.finished if one.records.trace is not None]
    if not traced and suite.finished:
        return not_applicable(f"{NOT_RECORDED}history.parquet; imported records may come without it")
    if not traced:
        return nothing_finished(suite)
    other = [records for records, trace in traced if trace.rate_error > RATE_ERROR]
    if other:
        return broken(other, f"learning rates in history.parquet are no function of progress: {names(other)}")
    steps = sum(trace.steps for _, trace in traced)
    lines = [f"learning rates of {steps:,} steps in history.parquet of {counted(len(traced), 'unit')} follow progress"]
    stairs = [records for records, _ in traced if _has_stairs(records.unit)]
    if stairs:
        lines.append(
            f"staircases, a setting of the literature: {', '.join(groups(stairs, lambda one: one.slot.method))}"
        )
    return held(*lines)


def _has_stairs(unit: Unit) -> bool:
    return any("stairs" in name and value for name, value in unit.params.items())


@rule(
    15,
    "Exposure is shown and batches are of one size",
    "Twice the labelled images a step is an advantage that no budget of iterations shows.",
    practices=(6,),
)
def exposure(suite: SuiteRecords) -> Verdict:
    """Images seen in result.json are at most steps times the batch size of unit.json; labelled ones stand beside."""
    if not suite.finished:
        return nothing_finished(suite)
    shown = [one for one in suite.finished if one.result.images_seen]
    if not shown:
        return not_applicable(f"{NOT_RECORDED}images seen")
    larger = [
        one for one in shown if one.result.images_seen > one.result.spent.useful_steps * one.unit.engine.batch_size
    ]
    if larger:
        lines = [
            f"{one.records.name}/result.json: {one.result.images_seen:,} images in {one.result.spent.useful_steps:,} "
            f"steps of {one.unit.engine.batch_size}"
            for one in larger
        ]
        return broken([one.records for one in larger], "batches are larger than the suite's", *lines)
    by_method = groups([one.records for one in shown], lambda one: one.slot.method)
    return held(*(f"{method}: {_seen([one for one in shown if one.row == method])}" for method in by_method))


def _seen(units: Sequence[Finished]) -> str:
    images = spread([one.result.images_seen for one in units], " images")
    return f"{images}, of which labelled {spread([one.result.labelled_images_seen for one in units])}"
