"""The training loop."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

from harness.api.errors import InterruptedRunError
from harness.api.method import BatchPlan, Stage
from harness.train.attempt import Attempt
from harness.train.build import set_learning_rate, start_stage, training_step
from harness.train.checkpoint import TrainingState, save_checkpoint
from harness.train.clock import StepClock
from harness.train.graph import CapturedStep
from harness.train.history import History
from harness.train.measure import Validator
from harness.train.pacing import Pacer
from harness.train.stop import StopFlag


@dataclass
class Trainer:
    """Trains one run, stage by stage, until its budget is spent.

    attempt:   the ledger, the wall clock by phase and the heartbeat of this attempt.
    validator: measures the current weights, outside the clock.
    stop:      raised by a signal, a dead driver or a lost lease; read between steps.
    allowance: as of `RunSettings`, at most the budget.
    resumed:   the state comes from a checkpoint, so its stage has started already.
    pacer:     under reference steps: measures what supervised steps cost beside the run's own.
    captured:  the step of the stage that trains, where the suite compiles steps and the stage has taken one.
    """

    state: TrainingState
    attempt: Attempt
    history: History
    validator: Validator
    clock: StepClock
    stop: StopFlag
    checkpoint_seconds: float
    allowance: float = math.inf
    resumed: bool = False
    pacer: Pacer | None = None
    captured: CapturedStep | None = None

    def train(self) -> bool:
        """Train from the state's step on; whether the whole budget was spent, or a search ended the trial before.

        Raises `InterruptedRunError` once a checkpoint was written after a request to stop.
        """
        self._saved_at = time.monotonic()
        for stage, plan in self._stages_left():
            self._request_image_check()
            while self._budget_allows_step():
                if self._must_stop():
                    self._save_checkpoint()
                    return self._end_trial_or_raise()
                self._step(stage, plan)
                if (number := self._due_validation()) is not None:
                    self._validate(number)
                    self._request_image_check()
                    self._save_checkpoint()
                elif time.monotonic() - self._saved_at >= self.checkpoint_seconds:
                    self._save_checkpoint()
        if self.state.last_validation < self.state.run.engine.validations:
            self._validate(self.state.run.engine.validations)
        self._save_checkpoint()
        return True

    def _stages_left(self) -> Iterator[tuple[Stage, BatchPlan]]:
        while True:
            if not self.resumed:
                self._start_stage()
            self.resumed = False
            stage = self.state.stage
            yield stage, self.state.method.batches(stage, self.state.run.engine.batch_size)
            self._charge_pending_steps()
            if not self.state.meter.next_stage():
                return

    def _start_stage(self) -> None:
        """What a method does between two stages is its own work, so it is charged."""
        with self.attempt.phases("train"):
            self.clock.start()
            start_stage(self.state)
            for seconds in self.clock.stop() + self.clock.flush():
                self.state.meter.charge_start(seconds)

    def _budget_allows_step(self) -> bool:
        """Ask the meter. It estimates while steps are pending: if it refuses, charge them and ask again."""
        meter = self.state.meter
        if meter.may_step(self.clock.pending):
            return True
        self._charge_pending_steps()
        return meter.may_step()

    def _must_stop(self) -> bool:
        meter = self.state.meter
        if not self.stop.is_set() and meter.fits(self.allowance, self.clock.pending):
            return False
        self._charge_pending_steps()  # pending steps may turn out shorter than their reserve
        return self.stop.is_set() or not meter.fits(self.allowance)

    def _end_trial_or_raise(self) -> bool:
        """End a trial that a search has seen enough of; leave any other run for later."""
        retired = self.stop.retired and self.state.run.role == "search"
        if retired or not self.stop.is_set():
            return False
        raise InterruptedRunError(
            f"stopped by {self.stop.reason} after step {self.state.meter.steps}; the same command goes on from here"
        )

    def _step(self, stage: Stage, plan: BatchPlan) -> None:
        state, captured = self.state, self._captured_step(stage, plan)
        with self.attempt.phases("train"):
            progress = state.meter.progress(self.clock.pending)
            with state.monitor.step():
                self.clock.start()
                rate = set_learning_rate(state.optimiser, state.run.engine, stage, progress)
                progress = progress.with_schedules(state.method.schedules(stage, progress))
                loss = captured(progress) if captured else training_step(state, stage, plan, progress)
                seconds = self.clock.stop()
            self.history.add(stage.name, state.meter.steps, progress, rate, loss)
            state.count_step(plan)
            self._charge(seconds)
        with self.attempt.phases("log"):
            state.monitor.compare()

    def _captured_step(self, stage: Stage, plan: BatchPlan) -> CapturedStep | None:
        """What replays the step, made outside the clock; None where the host takes it: each stage's first one too."""
        state = self.state
        if not state.run.engine.compile or state.monitor.requested or not state.meter.stage_steps[state.meter.stage]:
            return None
        if self.captured is None or self.captured.stage != stage:
            with self.attempt.phases("compile"):
                self.captured = None  # the last stage's graph gives its memory back first
                self.captured = CapturedStep(state, stage, plan)
        return self.captured

    def _charge(self, seconds: list[float]) -> None:
        for step_seconds in seconds:
            self.state.meter.charge(step_seconds)
        self.history.step_seconds += seconds

    def _charge_pending_steps(self) -> None:
        with self.attempt.phases("train"):
            self._charge(self.clock.flush())

    def _due_validation(self) -> int | None:
        """Number of the validation that the last step has reached, if it is due; the very last comes at the end."""
        count = self.state.run.engine.validations
        reached = int(self.state.meter.progress(self.clock.pending).run * count + 1e-9)
        return reached if self.state.last_validation < reached < count else None

    def _validate(self, number: int) -> None:
        self._charge_pending_steps()
        with self.attempt.phases("pacing"):
            pace = self.pacer.sample(self.state, number) if self.pacer else None
        with self.attempt.phases("eval"):
            self.validator.validate(self.state, number, pace)

    def _request_image_check(self) -> None:
        with self.attempt.phases("log"):
            self.state.monitor.request_image_check(self.state.method.predictor, self.state.sampler.data.example)

    def _save_checkpoint(self) -> None:
        self._charge_pending_steps()
        with self.attempt.phases("checkpoint"):
            self.attempt.check()
            self.history.drain()
            # first what was spent, then what it bought: killed in between, the ledger knows of all steps
            self.attempt.write("checkpoint")
            save_checkpoint(self.state, self.attempt.folder, self.attempt.environment)
        self._saved_at = time.monotonic()
