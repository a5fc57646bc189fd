"""Measures what a step of each method costs, beside plain supervised steps, for a budget of reference steps.

Steps of the two are taken in turns, A B B A, on the clock that charges runs: what slows the machine slows both. Every
fresh process measures all entries, since processes differ in where their memory lies.
"""

import logging
import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from itertools import cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.api.errors import HarnessError, InterruptedRunError, RunFailedError
from harness.api.method import BatchPlan, Stage
from harness.api.params import rounded
from harness.api.progress import Progress
from harness.api.strict import digest, now
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
from harness.records.partial_calibration import Unfinished
from harness.records.schema import Run
from harness.suite.blame import blame, packages_of
from harness.suite.costs import Configuration
from harness.suite.registry import load_method
from harness.train.build import (
    build_state,
    enter_stages,
    start_stage,
    take_step,
    task_of_run,
    training_cases,
    training_set,
)
from harness.train.checkpoint import TrainingState
from harness.train.clock import StepClock, clock_of
from harness.train.environment import fingerprint, pick_device, prepare_device
from harness.train.stop import StopFlag

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
POLL_SECONDS = 0.2


def calibrate(
    unit: Run,
    entries: Sequence[Configuration],
    cache: Cache,
    stop: StopFlag,
    *,
    known: Calibration | None = None,
    part: Path | None = None,
    refuse: Callable[[EntryCost], None] = lambda _cost: None,
) -> Calibration:
    """Measure entries beside supervised steps, in fresh processes.

    unit:   a run of plain supervised training at the suite's settings.
    known:  a calibration whose header the new one has, so that its entries may join that. None makes a new header.
    part:   a file that keeps what is measured, until all of it is. The same call goes on from there.
    refuse: called with the cost of an entry once the first process has measured it. May raise.

    Raises `InterruptedRunError` once `stop` is set, `RunFailedError` where a process that measures died.
    """
    settings = _settings(unit)
    unfinished = Unfinished(part, digest([settings, known.header.hash if known is not None else None]))
    samples: list[list[tuple[StageCost, ...]]] = [[] for _ in entries]
    for process in range(MOST_PAIRS * PROCESSES // PAIRS):
        waiting = [i for i, own in enumerate(samples) if process < PROCESSES or _spread(own) > PRECISION]
        if not waiting:
            break
        left = [entries[i].run for i in waiting if unfinished.stages(process, entries[i].key) is None]
        log.info("calibration: process %d measures %d entries", process + 1, len(left))
        with closing(_in_fresh_process(unit, left, cache, stop)) as measured:
            for index in waiting:
                key = entries[index].key
                stages = unfinished.stages(process, key) or unfinished.keep(process, key, next(measured))
                samples[index].append(stages)
                if process == 0:
                    refuse(EntryCost.of(key, stages))
    costs = [EntryCost.of(each.key, _merged(own)) for each, own in zip(entries, samples, strict=True)]
    for cost in costs:
        log.info("%s: %s", cost.key, ", ".join(f"{s.name} {s.ratio:.3f} +- {s.spread:.1%}" for s in cost.stages))
    reference = [first for cost in costs for stage in cost.stages for first, _ in stage.pairs]
    new = {**settings, "reference": reference, "measured_at": now()}
    header = known.header if known is not None else CalibrationHeader.model_validate(new)
    unfinished.discard()
    return Calibration(header=header, entries=tuple(costs))


def _spread(processes: Sequence[Sequence[StageCost]]) -> float:
    return max(stage.spread for stage in _merged(processes))


def _merged(processes: Sequence[Sequence[StageCost]]) -> list[StageCost]:
    return [
        StageCost(
            name=stages[0].name,
            pairs=tuple(pair for own in stages for pair in own.pairs),
            start=tuple(seconds for own in stages for seconds in own.start),
            events=tuple(seconds for own in stages for seconds in own.events),
        )
        for stages in zip(*processes, strict=True)
    ]


def _settings(unit: Run) -> dict[str, Any]:
    task = task_of_run(unit)
    return {
        "protocol_version": unit.protocol_version,
        "dataset": task.name,
        "channels": task.channels,
        "n_classes": task.n_classes,
        "preprocessing": unit.preprocessing.model_dump(mode="json"),
        "engine": engine_cost(unit.engine),
        "fingerprint": fingerprint(pick_device()).model_dump(mode="json"),
    }


def _in_fresh_process(
    unit: Run, runs: Sequence[Run], cache: Cache, stop: StopFlag
) -> Generator[tuple[StageCost, ...], None, None]:
    """Measure runs in a process of its own, which ends with the last of them; each as soon as it is measured."""
    if not runs:
        return
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_measured, args=(sender, unit, list(runs), cache.folder), daemon=True)
    process.start()
    sender.close()
    try:
        for _ in runs:
            while not receiver.poll(POLL_SECONDS):
                _refuse_stopped(stop)
            try:
                measured = receiver.recv()
            except EOFError:
                stop.wait(1.0)  # a signal to the whole job may end the child first
                _refuse_stopped(stop)
                process.join()
                raise RunFailedError(f"calibration: its process died with exit code {process.exitcode}") from None
            if isinstance(measured, Exception):
                raise measured
            yield measured
    finally:
        process.terminate()
        process.join()
        receiver.close()


def _refuse_stopped(stop: StopFlag) -> None:
    if stop.is_set():
        raise InterruptedRunError(f"calibration: stopped by {stop.reason}; the same command goes on")


def _send_measured(sender: Connection, unit: Run, runs: Sequence[Run], folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    with suppress(BrokenPipeError):  # it is gone
        try:
            for stages in measure(unit, runs, folder, PAIRS // PROCESSES):
                sender.send(stages)
        except HarnessError as error:
            sender.send(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a method raised it, whatever it is
            packages = frozenset().union(*(packages_of(load_method(run.method)) for run in runs))
            sender.send(RunFailedError(f"calibration: {blame(error, packages)}"))


def measure(unit: Run, runs: Sequence[Run], folder: Path, pairs: int) -> Iterator[tuple[StageCost, ...]]:
    """Samples of each stage of each run, in this process."""
    cache, device = Cache.open(folder), pick_device()
    prepare_device(device, unit.engine)
    data = training_set(unit, training_cases(unit, cache), device)
    clock = clock_of(device)
    reference = first_stage(build_state(unit, data, device))
    for run in runs:
        own = (
            data
            if (run.labelled, run.subset) == (unit.labelled, unit.subset)
            else training_set(run, training_cases(run, cache), device)
        )
        yield tuple(_stages(build_state(run, own, device), reference, clock, pairs))


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
        take_step(state, stage, plan, Progress(share, share, state.meter.stage_steps[state.meter.stage]))

    return step


def _stages(state: TrainingState, reference: Step, clock: StepClock, pairs: int) -> Iterator[StageCost]:
    for step in _steps(state):
        seconds: list[Pair] = []
        for warm in (reference, step, step, reference):  # in turns, as below: a process's first pair was 30 % off
            warm(POINTS[1])
        for share in islice(cycle(POINTS), (pairs + 1) // 2):
            first, second, third, fourth = (timed(clock, each, share) for each in (reference, step, step, reference))
            seconds += [(first, second), (fourth, third)]
        events = [_timed_event(clock, state) for _ in range(STARTS)] if state.method.events(state.stage) else []
        start = [timed(clock, lambda _share: start_stage(state), 0.0) for _ in range(STARTS)]
        yield StageCost(
            name=state.stage.name,
            pairs=tuple((rounded(first), rounded(second)) for first, second in seconds),
            start=tuple(map(rounded, start)),
            events=tuple(map(rounded, events)),
        )


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
