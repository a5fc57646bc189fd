"""Runs that kill -9 themselves at a chosen moment, each in a process of its own.

The processes are forked from a clean server that has torch loaded: a kill costs no import.
"""

import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext

import pytest

from harness.api.method import BatchPlan, Loss, Stage
from harness.api.progress import Progress
from harness.train import build
from harness.train.checkpoint import TrainingState
from tests.train.tiny import Tiny, train


@dataclass(frozen=True)
class Moment:
    """When a process dies: before a step of a stage, or (step None) when everything before the stage is done."""

    stage: str
    step: int | None = None


def server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.deaths"])
    return context


def killed_at(tiny: Tiny, planned_run: str, moment: Moment) -> int:
    """Train the run up to the moment. Returns the process's exit code, which is -9."""
    process = server().Process(target=_run_until, args=(tiny, planned_run, moment))
    process.start()
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def _run_until(tiny: Tiny, planned_run: str, moment: Moment) -> None:
    os.environ.update({name: value for name, value in tiny.environment.items() if value is not None})
    take_step, start = build.training_step, build.start_stage

    def training_step(state: TrainingState, stage: Stage, plan: BatchPlan, progress: Progress) -> Loss:
        if moment == Moment(stage.name, progress.step):
            os.kill(os.getpid(), signal.SIGKILL)
        return take_step(state, stage, plan, progress)

    def start_stage(state: TrainingState) -> None:
        if moment == Moment(state.stage.name):
            os.kill(os.getpid(), signal.SIGKILL)
        start(state)

    with pytest.MonkeyPatch.context() as patch:  # of this process alone
        patch.setattr("harness.train.trainer.training_step", training_step)
        patch.setattr("harness.train.trainer.start_stage", start_stage)
        train(tiny, planned_run)
