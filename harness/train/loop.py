"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from harness.api.errors import EndedEarlyError, InterruptedRunError
from harness.api.method import BatchPlan, Loss, Method, Stage
from harness.api.progress import Progress
from harness.api.schedules import poly
from harness.api.settings import OptimiserSettings
from harness.records.schema import Engine
from harness.train.checkpoint import TrainingState
from harness.train.clock import StepClock
from harness.train.history import History
from harness.train.phases import Phases
from harness.train.stop import StopFlag


@dataclass
class Loop:
    """Trains a `TrainingState` until its budget is spent.

    look:       called with the number of a validation look when its point of the budget is reached, outside the clock.
    check:      called before anything is written; raises what went wrong beside the loop (a lost lease, a full disk).
    checkpoint: called when `checkpoint_seconds` of wall time have passed, after each look, and at a stop.
    resumed:    the state comes from a checkpoint, so its stage has started already.
    allowance:  what a trial of a search may spend, in the budget's currency; at most its budget.
    """

    state: TrainingState
    clock: StepClock
    phases: Phases
    history: History
    stop: StopFlag
    look: Callable[[int], None]
    check: Callable[[], None]
    checkpoint: Callable[[], None]
    checkpoint_seconds: float
    resumed: bool
    allowance: float = math.inf

    def run(self) -> None:
        """All stages from where the state stands.

        Raises after a checkpoint: `InterruptedRunError` if asked to stop, `EndedEarlyError` where a trial is retired or
        has used up its allowance.
        """
        self._saved_at = time.monotonic()
        if not self.resumed:
            self._start_stage()
        while True:
            self._run_stage(self.state.method.stages[self.state.meter.stage])
            self._flush()
            if not self.state.meter.next_stage():
                break
            self._start_stage()
        engine = self.state.unit.engine
        if not self.state.looks or self.state.looks[-1].look < engine.looks:
            self.look(engine.looks)
        self._save()

    def _start_stage(self) -> None:
        """What a method does between two stages is its own work, so it is charged."""
        with self.phases("train"):
            self.clock.start()
            start_stage(self.state)
            for seconds in self.clock.stop() + self.clock.flush():
                self.state.meter.charge_start(seconds)

    def _may_step(self) -> bool:
        """Ask the meter; while steps are pending it can only guess, so its no counts once they are known."""
        meter = self.state.meter
        if meter.may_step(self.clock.pending):
            return True
        if self.clock.pending:
            self._flush()
        return meter.may_step(self.clock.pending)

    def _run_stage(self, stage: Stage) -> None:
        state = self.state
        self._arm()
        plan = state.method.batches(stage, state.unit.engine.batch_size)
        while self._may_step():
            if self.stop.is_set() or not self.state.meter.fits(self.allowance, self.clock.pending):
                self._interrupt()
            with self.phases("train"):
                self._step(stage, plan)
            with self.phases("log"):
                state.watch.compare()
            self._between_steps()

    def _step(self, stage: Stage, plan: BatchPlan) -> None:
        state = self.state
        progress = state.meter.progress(self.clock.pending)
        with state.watch.step():
            self.clock.start()
            rate = set_learning_rate(state.optimiser, state.unit.engine.optimiser, progress)
            loss = training_step(state, stage, plan, progress)
            seconds = self.clock.stop()
        self.history.add(stage.name, state.meter.steps, progress, rate, loss)
        state.meter.count_step()
        state.images_seen += plan.labelled + plan.unlabelled
        state.labelled_images_seen += plan.labelled
        self._charge(seconds)

    def _charge(self, seconds: list[float]) -> None:
        for step_seconds in seconds:
            self.state.meter.charge(step_seconds)
        self.history.step_seconds += seconds

    def _flush(self) -> None:
        with self.phases("train"):
            self._charge(self.clock.flush())

    def _between_steps(self) -> None:
        state = self.state
        looks = state.unit.engine.looks
        reached = int(state.meter.progress(self.clock.pending).unit * looks + 1e-9)
        last = state.looks[-1].look if state.looks else 0
        if last < reached < looks:
            self._flush()
            self.look(reached)
            self._arm()
            self._save()
        elif time.monotonic() - self._saved_at >= self.checkpoint_seconds:
            self._flush()
            self._save()

    def _arm(self) -> None:
        """Watch the next step."""
        with self.phases("log"):
            self.state.watch.arm(self.state.method.predictor, self.state.sampler.data.example)

    def _save(self) -> None:
        with self.phases("checkpoint"):
            self.check()
            self.history.drain()
            self.checkpoint()
        self._saved_at = time.monotonic()

    def _interrupt(self) -> None:
        self._flush()
        if not self.stop.is_set() and self.state.meter.fits(self.allowance):
            return  # pending steps turned out shorter than their reserve
        self._save()
        if not self.stop.is_set() or (self.stop.retired and self.state.unit.role == "search"):
            raise EndedEarlyError
        raise InterruptedRunError(
            f"stopped by {self.stop.reason} after step {self.state.meter.steps}; the same command goes on from here"
        )


def training_step(state: TrainingState, stage: Stage, plan: BatchPlan, progress: Progress) -> Loss:
    """Assemble a batch, augment, loss, backward, update. Nothing here waits for the device."""
    batch = state.sampler.next(plan)
    state.watch.given(batch)
    loss = compute_loss(state.method, state.unit.engine, lambda: state.method.training_loss(batch, stage, progress))
    state.optimiser.zero_grad(set_to_none=True)
    loss.total.backward()
    state.optimiser.step()
    state.method.after_step(stage, progress)
    return loss


def compute_loss(method: Method, engine: Engine, closure: Callable[[], Loss]) -> Loss:
    """Run the method's loss in the suite's precision."""
    if engine.precision == "float32":
        return closure()
    device = next(method.parameters()).device.type
    with torch.autocast(device, dtype=torch.bfloat16):
        return closure()


def set_learning_rate(optimiser: torch.optim.Optimizer, settings: OptimiserSettings, progress: Progress) -> float:
    """Scale every group's initial rate by the schedule at this stage's progress; the first group's rate."""
    factor = poly(progress.stage, settings.poly_power) if settings.schedule == "poly" else 1.0
    for group in optimiser.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
    return float(optimiser.param_groups[0]["lr"])


def start_stage(state: TrainingState) -> None:
    """Enter the meter's stage: weights handed over, a fresh optimiser (the rate restarts, momentum resets).

    The method is put into training mode first, so that a stage may freeze a part by `.eval()`.
    """
    stage = state.method.stages[state.meter.stage]
    state.method.train()
    state.method.start_stage(stage)
    state.optimiser = state.method.optimiser(stage, state.unit.engine.optimiser)
