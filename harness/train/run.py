"""Trains one run from its record to its result; goes on where an earlier attempt stopped."""

import io
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from harness.api.method import Method
from harness.api.params import OptimiserSettings
from harness.api.strict import now
from harness.data.cache import Cache
from harness.data.mapped import map_cases
from harness.data.permit import keep_closed
from harness.data.sampler import TrainingSet
from harness.data.subsets import validation_patients
from harness.evaluation.evaluate import load_volumes
from harness.records.artifacts import CAPTION, Array, refuse_large, refuse_unfit
from harness.records.ledger import wall_by_phase
from harness.records.run_folder import DamagedRecordError, RunFolder
from harness.records.schema import Result, Run
from harness.records.suite_folder import SuiteFolder
from harness.suite.contract import refuse_broken
from harness.train.attempt import Attempt, device_faults
from harness.train.build import (
    build_method,
    build_state,
    go_on,
    task_of_run,
    training_cases,
    training_set,
    unlabelled_patients,
    warm_up,
)
from harness.train.checkpoint import TrainingState, read_checkpoint, weights_sha256
from harness.train.clock import clock_of
from harness.train.environment import (
    describe,
    peak_memory_bytes,
    pick_device,
    prepare_device,
    read_process_info,
    reset_peak_memory,
)
from harness.train.graph import rehearse
from harness.train.history import History
from harness.train.measure import Validator, test_once
from harness.train.pacing import Pacer, unit_of
from harness.train.stop import StopFlag
from harness.train.trainer import Trainer
from harness.train.weights import save_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSettings:
    """How a run is trained; nothing here changes its numbers.

    checkpoint_seconds: wall seconds between checkpoints; one follows each validation too.
    parent: pid of the driver; the run stops when that process is gone.
    wait_for_lease_seconds: patience with another process that holds the run; an orphan of a killed driver notices
        within one heartbeat and gives it back.
    allowance: what a trial of a search may spend before it ends for good, in the budget's currency; what
        interruptions lost counts.
    """

    checkpoint_seconds: float = 30.0
    parent: int | None = None
    stop: StopFlag = field(default_factory=StopFlag)
    wait_for_lease_seconds: float = 15.0
    allowance: float = math.inf


def train_run(folder: RunFolder, cache: Cache, selection: Path, settings: RunSettings) -> Result:
    """Train, validate, test once, write the records; return at once where result.json exists.

    selection: the record that must name the run before its test split opens.

    A method's own failure is a failed `Result`. Raises `LeaseHeldError` where another process trains the run,
    `InterruptedRunError` where it was stopped after a checkpoint, other `HarnessError` where the user must act.
    """
    with folder.lease.held_for(settings.wait_for_lease_seconds) as lease, device_faults():
        folder.remove_temporary_files()
        done = folder.result()
        if done is not None:
            return done
        run, device = folder.run, pick_device()
        prepare_device(device, run.engine)
        manifest = cache.manifest
        environment = describe(device, run.engine, manifest.checksum, manifest.warnings, manifest.spacing_source)
        with Attempt(folder, lease, environment, device, settings.stop, settings.parent) as attempt:
            # Before anything is loaded, so that all of it is seen.
            attempt.write("begin", process=read_process_info(device))
            recording_cache = replace(cache, on_violation=attempt.record_violation)
            with keep_closed(attempt.record_violation):
                trainer = make_trainer(attempt, recording_cache, settings)
                completed = trainer.train()
            peak_bytes = peak_memory_bytes(device)
            if run.role == "final":  # what a search tries never meets the test split
                with attempt.phases("eval"):
                    test_once(trainer.state, attempt, recording_cache, selection)
                with attempt.phases("checkpoint"):
                    save_weights(trainer.state, folder, manifest)
            finish(trainer, peak_bytes, "ok" if completed else "ended_early")
        assert attempt.result is not None, "an attempt that ends without an error has a result"
        folder.ledger.forget_repeated()
        return folder.write_result(attempt.result)


def make_trainer(attempt: Attempt, cache: Cache, settings: RunSettings) -> Trainer:
    """Load the data, build the state or take up that of a checkpoint, and warm up."""
    folder, run, device = attempt.folder, attempt.folder.run, attempt.device
    with attempt.phases("data"):
        cases = training_cases(run, cache)
        data = training_set(run, cases, device)
        validation = map_cases(cache, "val", run.preprocessing)
        selecting = validation_patients(validation.patients, run.validation_patients, run.dataset.name)
        validator = Validator(
            folder,
            task_of_run(run),
            load_volumes(validation, device, selecting),
            load_volumes(cases, device, unlabelled_patients(run, cases)),
        )
    history = History(folder)
    with attempt.phases("build"):
        state = build_state(run, data, device)
        refuse_broken(state.method, task_of_run(run), run.engine.batch_size)
        resumed = resume(state, attempt, history)
    attempt.start(state.meter)
    if state.meter.has_steps_left:
        with attempt.phases("warmup"):
            warm_up(run, data, device)
        if run.engine.compile:
            with attempt.phases("compile"):
                rehearse(run, data, device)
    reset_peak_memory(device)
    return Trainer(
        state=state,
        attempt=attempt,
        history=history,
        validator=validator,
        clock=clock_of(device),
        stop=settings.stop,
        checkpoint_seconds=settings.checkpoint_seconds,
        allowance=allowance_left(folder, run, settings.allowance),
        resumed=resumed,
        pacer=make_pacer(folder, data),
    )


def make_pacer(folder: RunFolder, data: TrainingSet) -> Pacer | None:
    """What measures supervised steps beside a run; None unless its steps come from a calibration that is on record."""
    run = folder.run
    if run.calibration is None:
        return None
    known = SuiteFolder(folder.path.parents[1]).calibrations()
    header = next((each.header for each in known if each.header.hash == run.calibration.header), None)
    return None if header is None else Pacer(unit_of(run, header), data)


def resume(state: TrainingState, attempt: Attempt, history: History) -> bool:
    """Take up the checkpoint, if there is a whole one of this environment; whether there was."""
    folder = attempt.folder
    try:
        content = read_checkpoint(folder.checkpoint, state.run, attempt.environment)
        if content is not None:
            folder.history_parts()
    except DamagedRecordError as error:
        log.warning("%s; the run starts again", error)
        attempt.write("heartbeat", f"starts again: {error}")
        content = None
    if content is None:
        history.forget_after(0)
        folder.final.unlink(missing_ok=True)
        return False
    go_on(state, content)
    folder.write_validations(state.validations)
    history.forget_after(state.meter.steps)
    return True


def allowance_left(folder: RunFolder, run: Run, allowance: float) -> float:
    """What this attempt at a trial may come to, after all that other attempts lost."""
    if run.role != "search" or math.isinf(allowance):
        return math.inf
    spent = folder.ledger.spent()
    return allowance - spent.in_currency(run.budget)[1]


def finish(trainer: Trainer, peak_bytes: int, status: Literal["ok", "ended_early"]) -> None:
    """Merge the history, draw what the method shows, end the attempt with its result."""
    attempt, state = trainer.attempt, trainer.state
    folder, method = attempt.folder, state.method
    with attempt.phases("log"):
        trainer.history.merge()
        keep_arrays(folder, method)
        attempt.check()
    attempt.write("end")
    stages = [stage.name for stage in method.stages]
    attempt.result = Result(
        run=folder.id,
        status=status,
        environment=attempt.environment,
        spent=folder.ledger.spent(),
        stage_device_seconds=dict(zip(stages, state.meter.stage_seconds, strict=True)),
        stage_steps=dict(zip(stages, state.meter.stage_steps, strict=True)),
        longest_step_seconds=state.meter.longest_step_seconds,
        wall_seconds=wall_by_phase(folder.ledger.lines()),
        images_seen=state.images_seen,
        labelled_images_seen=state.labelled_images_seen,
        parameters_training=trainable_parameters(build_method(state.run, torch.device("cpu"))),
        parameters_predictor=sum(p.numel() for p in method.predictor.parameters()),
        peak_memory_bytes=peak_bytes,
        validations=state.validations,
        best_validation=state.best_validation,
        weights_sha256=weights_sha256(method.predictor),
        observed=state.monitor.record(state.sampler.augmentation, method.augmentation),
        shown=attempt.shown,
        finished_at=now(),
    )


def trainable_parameters(method: Method) -> int:
    """Parameters that an optimiser of some stage changes, not a teacher's; `method` is led through its stages."""
    trained: dict[int, int] = {}
    for stage in method.stages:
        method.start_stage(stage)
        groups = method.optimiser(stage, OptimiserSettings()).param_groups
        trained |= {id(p): p.numel() for group in groups for p in group["params"] if p.requires_grad}
    return sum(trained.values())


def keep_arrays(folder: RunFolder, method: Method) -> None:
    """Write the method's arrays and figures into the run's folder, where there are any.

    What goes wrong in the method, or is too large, is left out with a warning. Raises `DiskError`.
    """
    arrays: dict[str, Array] = {}
    figures: dict[str, bytes] = {}
    with _warned(f"{folder.run.label}: arrays are not kept"):
        arrays = arrays_of(method)
    with _warned(f"{folder.run.label}: figures are not kept"):
        figures = draw_figures(method, arrays, [validation.diagnostics for validation in folder.validations()])
    if arrays:
        folder.write_arrays(arrays)
    if figures:
        folder.write_figures(figures)


@contextmanager
def _warned(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever the method raises, its weights are tested already
        log.warning("%s, %s: %s", what, type(error).__name__, error)


def arrays_of(method: Method) -> dict[str, Array]:
    """The method's arrays on the host. Raises `ValueError` for what is too large, and what the method raises."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in method.arrays().items()}
    refuse_large(arrays)
    return arrays


def draw_figures(
    method: Method, arrays: Mapping[str, Array], diagnostics: Sequence[Mapping[str, float]]
) -> dict[str, bytes]:
    """The method's figures as PNG files, each with its title inside; the same figures give the same bytes.

    Raises `ValueError` for what is too large or badly named, and what the method raises.
    """
    drawn = {}
    for name, figure in method.figures(arrays, diagnostics).items():
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None, CAPTION: figure.get_suptitle() or name})
        drawn[name] = file.getvalue()
    refuse_unfit(drawn)
    return drawn
