"""Measures what a step of each method costs, beside plain supervised steps, for a budget of reference steps.

Steps of the two are taken in turns, A B B A, on the clock that charges runs: what slows the machine slows both. Every
fresh process measures all entries, since processes differ in where their memory lies.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from harness.api.method import BatchPlan, Stage
from harness.api.progress import Progress
from harness.api.strict import now
from harness.data.cache import Cache
from harness.records.calibration import (
    PRECISION,
    Calibration,
    CalibrationHeader,
    EntryCost,
    Pair,
    StageCost,
    engine_cost,
)
from harness.records.schema import Run
from harness.suite.costs import Configuration
from harness.train.build import (
    build_state,
    enter_stages,
    set_learning_rate,
    start_stage,
    task_of_run,
    training_cases,
    training_set,
    training_step,
)
from harness.train.checkpoint import TrainingState
from harness.train.clock import StepClock, clock_of
from harness.train.environment import fingerprint, pick_device, prepare_device

log = logging.getLogger(__name__)

PROCESSES = 3
PAIRS = 30
"""Of a stage, over the first processes."""
MOST_PAIRS = 75
POINTS = (0.05, 0.5, 0.95)
"""Stage progress at which steps are measured, in turn."""
WARM_STEPS = 3
STARTS = 2
"""Starts and events of a stage that a process measures."""


@dataclass(frozen=True)
class Samples:
    """What one process measured of one stage, in seconds."""

    stage: str
    pairs: list[Pair]
    start: list[float]
    events: list[float]


def calibrate(
    unit: Run, entries: Sequence[Configuration], cache: Cache, known: Calibration | None = None
) -> Calibration:
    """Measure entries beside supervised steps, in fresh processes.

    Args:
        unit: A run of plain supervised training at the suite's settings.
        entries: What is measured.
        cache: The prepared data.
        known: A calibration whose header the new one has, so that its entries may join that. None makes a new header.

    Returns:
        A calibration of these entries.
    """
    samples: dict[int, list[list[Samples]]] = {index: [] for index in range(len(entries))}
    reference: list[float] = []
    waiting = list(range(len(entries)))
    for process in range(MOST_PAIRS * PROCESSES // PAIRS):
        if not waiting:
            break
        log.info("calibration: process %d measures %d entries", process + 1, len(waiting))
        for index, stages in zip(
            waiting, _in_fresh_process(unit, [entries[i].run for i in waiting], cache), strict=True
        ):
            samples[index].append(stages)
            reference += [first for stage in stages for first, _ in stage.pairs]
        if process + 1 >= PROCESSES:
            waiting = [index for index in waiting if _spread(samples[index]) > PRECISION]
    costs = [EntryCost.of(each.key, _merged(samples[index])) for index, each in enumerate(entries)]
    for cost in costs:
        log.info("%s: %s", cost.key, ", ".join(f"{s.name} {s.ratio:.3f} +- {s.spread:.1%}" for s in cost.stages))
    header = known.header if known is not None else _header(unit, reference)
    return Calibration(header=header, entries=tuple(costs))


def _spread(processes: Sequence[Sequence[Samples]]) -> float:
    """The widest of an entry's stages."""
    return max(stage.spread for stage in _merged(processes))


def _merged(processes: Sequence[Sequence[Samples]]) -> list[StageCost]:
    """All processes' samples of each stage."""
    return [
        StageCost(
            name=stages[0].stage,
            pairs=tuple(pair for own in stages for pair in own.pairs),
            start=tuple(seconds for own in stages for seconds in own.start),
            events=tuple(seconds for own in stages for seconds in own.events),
        )
        for stages in zip(*processes, strict=True)
    ]


def _header(unit: Run, reference: Sequence[float]) -> CalibrationHeader:
    task = task_of_run(unit)
    return CalibrationHeader(
        protocol_version=unit.protocol_version,
        dataset=task.name,
        channels=task.channels,
        n_classes=task.n_classes,
        preprocessing=unit.preprocessing,
        engine=engine_cost(unit.engine),
        fingerprint=fingerprint(pick_device()),
        reference=tuple(reference),
        measured_at=now(),
    )


def _in_fresh_process(unit: Run, runs: Sequence[Run], cache: Cache) -> list[list[Samples]]:
    """Measure in a process of its own, which ends afterwards."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, unit, list(runs), cache.folder, PAIRS // PROCESSES).result()


def measure(unit: Run, runs: Sequence[Run], folder: Path, pairs: int) -> list[list[Samples]]:
    """Samples of each stage of each run, in this process."""
    cache, device = Cache.open(folder), pick_device()
    prepare_device(device, unit.engine)
    data = training_set(unit, training_cases(unit, cache), device)
    clock = clock_of(device)
    reference = first_stage(build_state(unit, data, device))
    measured = []
    for run in runs:
        own = (
            data
            if (run.labelled, run.subset) == (unit.labelled, unit.subset)
            else training_set(run, training_cases(run, cache), device)
        )
        measured.append(list(_stages(build_state(run, own, device), reference, clock, pairs)))
    return measured


Step = Callable[[float], None]
"""Takes a whole step at a stage progress."""


def first_stage(state: TrainingState) -> Step:
    """Enter a fresh state's first stage; what takes a step of it."""
    return next(_steps(state))


def _steps(state: TrainingState) -> Iterator[Step]:
    """For each stage of a state, once it is entered: what takes a step of it."""
    for stage, plan in enter_stages(state):
        step = _step_of(state, stage, plan)
        for _ in range(WARM_STEPS):
            step(POINTS[1])
        yield step


def _step_of(state: TrainingState, stage: Stage, plan: BatchPlan) -> Step:
    def step(share: float) -> None:
        progress = Progress(share, share, state.meter.stage_steps[state.meter.stage])
        set_learning_rate(state.optimiser, state.run.engine, stage, progress)
        training_step(state, stage, plan, progress.with_schedules(state.method.schedules(stage, progress)))
        state.meter.count_step()

    return step


def _stages(state: TrainingState, reference: Step, clock: StepClock, pairs: int) -> Iterator[Samples]:
    """Samples of a state's stages, each entered in turn."""
    for step in _steps(state):
        seconds: list[Pair] = []
        for share in islice(cycle(POINTS), (pairs + 1) // 2):
            first, second, third, fourth = (timed(clock, each, share) for each in (reference, step, step, reference))
            seconds += [(first, second), (fourth, third)]
        events = [_timed_event(clock, state) for _ in range(STARTS)] if state.method.events(state.stage) else []
        start = [timed(clock, lambda _share: start_stage(state), 0.0) for _ in range(STARTS)]
        yield Samples(state.stage.name, seconds, start, events)


def timed(clock: StepClock, step: Step, share: float) -> float:
    """Seconds of one step at a stage progress, on a clock that charges runs."""
    clock.start()
    step(share)
    return sum(clock.stop() + clock.flush())


def _timed_event(clock: StepClock, state: TrainingState) -> float:
    """Seconds of what `on_progress` does where stage progress passes the middle one of its points."""
    stage, count = state.stage, state.method.events(state.stage)
    point = (count // 2 or 1) / count
    before, after = (Progress(share, share, 1) for share in (point - 0.5 / count, min(1.0, point + 0.5 / count)))
    state.method.on_progress(stage, before)
    return timed(clock, lambda _share: state.method.on_progress(stage, after), point)
