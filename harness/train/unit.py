"""Runs one unit from its record to its result; goes on where an earlier attempt stopped."""

from __future__ import annotations

import copy
import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from harness.api.errors import (
    ClosedSplitError,
    DataError,
    DiskError,
    EndedEarlyError,
    HarnessError,
    InterruptedRunError,
)
from harness.api.method import Method
from harness.api.settings import OptimiserSettings
from harness.data.cache import Cache
from harness.data.permit import TestPermit, keep_closed
from harness.evaluation.evaluate import Volume, case_rows, load_volumes, mean_dice, predict_all
from harness.records.files import disk_errors, write_text
from harness.records.lease import LeaseHeldError
from harness.records.ledger import wall_by_phase
from harness.records.run_folder import UnitFolder
from harness.records.schema import Failure, Look, Result, Unit
from harness.train.arrays import keep_arrays
from harness.train.attempt import Attempt, now, printable
from harness.train.build import build_method, build_state, task_of_unit, training_set, unlabelled_cases, warm_up
from harness.train.checkpoint import TrainingState, read_checkpoint, weights_sha256
from harness.train.clock import CudaClock, StepClock, ThreadClock
from harness.train.environment import describe, peak_memory_bytes, pick_device, prepare_device, reset_peak_memory
from harness.train.heartbeat import Heart
from harness.train.history import History, NonFiniteLossError
from harness.train.loop import Loop, start_stage
from harness.train.process_info import this_place
from harness.train.stop import StopFlag


@dataclass(frozen=True)
class Watched:
    """What a look sees: all validation volumes, and a few training volumes whose labels are hidden from the method."""

    validation: Sequence[Volume]
    unlabelled: Sequence[Volume]


@dataclass(frozen=True)
class RunSettings:
    """How a unit is run; nothing here changes its numbers.

    checkpoint_seconds: wall seconds between checkpoints; also written after every look.
    parent:             pid of the driver; the unit stops when that process is gone.
    say:                called with one line of progress at every look.
    allowance:          what a trial of a search may spend before it ends for good, in the budget's currency; what
                        interruptions lost counts.
    wait_for_lease_seconds: patience with another process that holds the unit; an orphan of a killed driver notices
                        within one heartbeat and gives it back.
    """

    checkpoint_seconds: float = 30.0
    parent: int | None = None
    stop: StopFlag = field(default_factory=StopFlag)
    say: Callable[[str], None] = lambda _line: None
    wait_for_lease_seconds: float = 15.0
    allowance: float = math.inf


def run_unit(folder: UnitFolder, cache: Cache, selection: Path, settings: RunSettings) -> Result:
    """Train, look, test once, write the records; returns at once where result.json exists.

    Raises `LeaseHeldError` if another process runs the unit, `InterruptedRunError` after a checkpoint when stopped,
    and other `HarnessError`s where the user must act. A method's own failure becomes a failed `Result`.
    """
    lease = folder.lease
    lease.claim(settings.wait_for_lease_seconds)
    try:
        folder.tidy()
        done = folder.result()
        return done if done is not None else _Runner(folder, cache, selection, settings).run(lease.beat)
    finally:
        lease.release()


class _Runner:
    """The pieces of one attempt."""

    def __init__(self, folder: UnitFolder, cache: Cache, selection: Path, settings: RunSettings) -> None:
        self.folder = folder
        self.unit: Unit = folder.unit
        self.cache = replace(cache, on_breach=self._breach)
        self.selection = selection
        self.settings = settings
        self.device = pick_device()
        prepare_device(self.device, self.unit.engine)
        self.environment = describe(self.device, self.unit.engine, cache.reference.checksum)
        note = f"commit {self.environment.shown['commit']}"
        self.attempt = Attempt(folder.ledger, folder.write_environment(self.environment), note)
        self.peak_memory_bytes: int | None = None
        self.history = History(folder.path)
        self.task = task_of_unit(self.unit)

    @property
    def final(self) -> Path:
        """Says that the weights can no longer change; without it the test split stays closed."""
        return self.folder.path / "final.json"

    def run(self, beat: Callable[[], None]) -> Result:
        """One attempt, whatever its end."""

        def heartbeat() -> None:
            try:
                beat()
            except LeaseHeldError as error:  # two must never write: this one leaves, without a checkpoint
                raise InterruptedRunError(str(error)) from None
            self.attempt.write("heartbeat")

        try:
            with disk_errors(self.folder.path), Heart(heartbeat, self.settings.stop, self.settings.parent) as heart:
                result = self._work(heart)
        except HarnessError as error:
            if not isinstance(error, DataError):
                with suppress(DiskError):  # on a full disk the first message is the one to show
                    self.attempt.write("end", f"{type(error).__name__}: {error}")
                raise
            if isinstance(error, ClosedSplitError) and not self.attempt.breached:
                self._breach(str(error))
            result = self._failed("data", error)
        except NonFiniteLossError as error:
            result = self._failed("nan", error)
        except (torch.cuda.OutOfMemoryError, MemoryError) as error:
            result = self._failed("oom", error)
        except Exception as error:  # noqa: BLE001 - whatever a method raises becomes a row of the table
            result = self._failed("oom" if "can't allocate memory" in str(error) else "error", error)
        self.folder.write_result(result)
        return result

    def _breach(self, why: str) -> None:
        """Somebody asked for test cases before the weights were final: that goes on record."""
        self.attempt.write("breach", why)

    def _work(self, heart: Heart) -> Result:
        phases = self.attempt.phases
        self.attempt.begin(this_place(self.device))
        with keep_closed(self._breach):
            state, ended_early = self._train(heart)
        if self.unit.role == "final":  # what a search tries never meets the test split
            with phases("eval"):
                self._test(state, heart)
        with phases("log"):
            self.history.merge()
            keep_arrays(self.folder, state.method)
            heart.check()
        self.attempt.write("end")
        return self._finished(state, "stopped" if ended_early else "ok")

    def _train(self, heart: Heart) -> tuple[TrainingState, bool]:
        """A trained state, and whether a trial ended early."""
        phases = self.attempt.phases
        with phases("data"):
            data = training_set(self.unit, self.cache, self.device)
            watched = Watched(
                load_volumes(self.cache.cases("val"), self.unit.preprocessing, self.device),
                load_volumes(unlabelled_cases(self.unit, self.cache), self.unit.preprocessing, self.device),
            )
        with phases("build"):
            state = build_state(self.unit, data, self.device)
            resumed = self._resume(state)
        self.attempt.start(state.meter)
        if state.meter.has_steps_left:
            with phases("warmup"):
                warm_up(self.unit, data, self.device)
        reset_peak_memory(self.device)
        ended_early = self._run(self._loop(state, watched, heart, resumed))
        self.peak_memory_bytes = peak_memory_bytes(self.device)
        return state, ended_early

    def _run(self, loop: Loop) -> bool:
        """Run the loop; whether a trial of a search ended before its budget was spent."""
        try:
            loop.run()
        except EndedEarlyError:
            return True
        return False

    def _resume(self, state: TrainingState) -> bool:
        content = read_checkpoint(self.folder.checkpoint, self.unit, self.attempt.environment)
        if content is None:
            self.history.forget_after(0)
            self.final.unlink(missing_ok=True)
            return False
        state.meter.load_state_dict(content["meter"])
        # what a stage froze stays frozen in those after it: each is started, in order
        for stage in state.method.stages[: state.meter.stage]:
            state.method.start_stage(stage)
        start_stage(state)
        state.load(content)
        self.folder.write_looks(state.looks)
        self.history.forget_after(state.meter.steps)
        return True

    def _loop(self, state: TrainingState, watched: Watched, heart: Heart, resumed: bool) -> Loop:
        def look(number: int) -> None:
            with self.attempt.phases("eval"), state.watch.look(state.method):
                self._look(state, watched, number)

        def checkpoint() -> None:
            # first what was spent, then what it bought: killed in between, the ledger knows of all steps
            self.attempt.write("checkpoint")
            with checkpoint_errors(self.folder.checkpoint):
                state.save(self.folder.checkpoint, self.attempt.environment)

        return Loop(
            state=state,
            clock=clock_of(self.device),
            phases=self.attempt.phases,
            history=self.history,
            stop=self.settings.stop,
            look=look,
            check=heart.check,
            checkpoint=checkpoint,
            checkpoint_seconds=self.settings.checkpoint_seconds,
            resumed=resumed,
            allowance=self._allowance(),
        )

    def _allowance(self) -> float:
        """What this attempt may come to, after all that others lost."""
        if self.unit.role != "search" or math.isinf(self.settings.allowance):
            return math.inf
        spent = self.folder.ledger.spent()
        lost = spent.lost_steps if self.unit.budget.steps is not None else spent.lost_device_seconds
        return self.settings.allowance - lost

    def _look(self, state: TrainingState, watched: Watched, number: int) -> None:
        method, engine = state.method, self.unit.engine
        dice = mean_dice(method.predictor, watched.validation, self.task, engine)
        taught = mean_dice(method.labeller, watched.unlabelled, self.task, engine) if watched.unlabelled else None
        progress = state.meter.progress()
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            diagnostics = {k: v for k, v in method.diagnostics().items() if math.isfinite(v)}
        look = Look(
            look=number,
            progress=progress.unit,
            step=state.meter.steps,
            device_seconds=state.meter.seconds,
            dice=dice,
            diagnostics=diagnostics,
            unlabelled_dice=taught,
        )
        state.remember_best(look)
        self.folder.write_looks(state.looks)
        seen = "no validation cases" if look.mean_dice is None else f"validation Dice {look.mean_dice:.3f}"
        self.settings.say(
            f"{self.unit.label}: look {number}/{self.unit.engine.looks}, step {look.step}, "
            f"{look.device_seconds:.0f} device-seconds, {seen}"
        )

    def _test(self, state: TrainingState, heart: Heart) -> None:
        """Open the test split, once, with weights that can no longer change."""
        import pandas as pd

        permit = TestPermit(self.selection, self.unit.id, self.final)
        if not permit.asked_for:  # edited while the unit ran: nobody's breach
            raise InterruptedRunError(f"{self.selection} does not name this unit any more")
        write_text(self.final, f'{{"weights_sha256": "{weights_sha256(state.method.predictor)}"}}\n')
        volumes = load_volumes(self.cache.test_cases(permit), self.unit.preprocessing, self.device)
        predicted = predict_all(state.method.predictor, volumes, self.task, self.unit.engine)
        last = case_rows(predicted, volumes, self.task, "last")
        tables = [last]
        if state.best_look == state.looks[-1].look:
            tables.append(last.assign(selection="best_val"))
        elif state.best_look is not None:  # without validation cases there is no best look
            second = predict_all(best_predictor(state), volumes, self.task, self.unit.engine)
            tables.append(case_rows(second, volumes, self.task, "best_val"))
        heart.check()
        self.folder.write_predictions(predicted)
        self.folder.write_cases(pd.concat(tables, ignore_index=True))

    def _finished(self, state: TrainingState, status: Literal["ok", "stopped"]) -> Result:
        stages = [stage.name for stage in state.method.stages]
        return Result(
            unit=self.unit.id,
            status=status,
            environment=self.attempt.environment,
            spent=self.folder.ledger.spent(),
            stage_device_seconds=dict(zip(stages, state.meter.stage_seconds, strict=True)),
            stage_steps=dict(zip(stages, state.meter.stage_steps, strict=True)),
            longest_step_seconds=state.meter.longest_step_seconds,
            wall_seconds=wall_by_phase(self.folder.ledger.lines()),
            images_seen=state.images_seen,
            labelled_images_seen=state.labelled_images_seen,
            parameters_training=trainable_parameters(build_method(self.unit, torch.device("cpu"))),
            parameters_predictor=sum(p.numel() for p in state.method.predictor.parameters()),
            peak_memory_bytes=self.peak_memory_bytes or 0,
            looks=state.looks,
            best_look=state.best_look,
            weights_sha256=weights_sha256(state.method.predictor),
            observed=state.watch.record(state.sampler.augmentation, state.method.augmentation),
            shown=self.environment.shown,
            finished_at=now(),
        )

    def _failed(self, kind: str, error: BaseException) -> Result:
        write_text(self.folder.path / "error.txt", printable("".join(traceback.format_exception(error))))
        self.attempt.write("end", f"failed: {kind}")
        reason = printable(f"{type(error).__name__}: {error}")
        failure = Failure.model_validate({"kind": kind, "reason": reason})
        return Result(
            unit=self.unit.id,
            status="failed",
            failure=failure,
            environment=self.attempt.environment,
            spent=self.folder.ledger.spent(),
            wall_seconds=wall_by_phase(self.folder.ledger.lines()),
            peak_memory_bytes=peak_memory_bytes(self.device),
            shown=self.environment.shown,
            finished_at=now(),
        )


def clock_of(device: torch.device) -> StepClock:
    """The clock that charges a device."""
    return CudaClock(device) if device.type == "cuda" else ThreadClock()


def best_predictor(state: TrainingState) -> torch.nn.Module:
    """The predictor with the weights of the best validation look."""
    predictor = copy.deepcopy(state.method.predictor)
    if state.best is not None:
        predictor.load_state_dict(state.best)
    return predictor


def trainable_parameters(method: Method) -> int:
    """Parameters that an optimiser of some stage changes: a teacher does not count.

    method: a new one, to be thrown away; it is led through its stages.
    """
    trained: dict[int, int] = {}
    for stage in method.stages:
        method.start_stage(stage)
        groups = method.optimiser(stage, OptimiserSettings()).param_groups
        trained |= {id(p): p.numel() for group in groups for p in group["params"] if p.requires_grad}
    return sum(trained.values())


@contextmanager
def checkpoint_errors(path: Path) -> Iterator[None]:
    """torch.save says RuntimeError where its file could not be written, which no method is to blame for."""
    try:
        yield
    except RuntimeError as error:
        if "inline_container" not in str(error) and "PytorchStreamWriter" not in str(error):
            raise
        message = str(error).splitlines()[0]
        raise DiskError(f"cannot write {path}: {message}. Free space, then run again.") from None
