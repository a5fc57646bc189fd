"""What the parts of the benchmark share: what they are asked for, states, and rows that survive a failure."""

import statistics
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVarTuple

import torch
from torch import Tensor

from harness.api import Progress, Stage
from harness.suite.registry import load_method
from harness.train.build import set_learning_rate, training_step
from harness.train.checkpoint import TrainingState
from harness.train.graph import CapturedStep
from tests.bench.device.planner import Row
from tests.bench.workload import MIDDLE, Entry, Precision, Size, entries

REPEATS = 3

Arguments = TypeVarTuple("Arguments")


@dataclass(frozen=True, slots=True)
class Asked:
    device: torch.device
    size: Size
    batch: int
    steps: int
    names: tuple[str, ...]
    precisions: tuple[Precision, ...]
    tree: Path | None = None

    @property
    def shape(self) -> Row:
        return {"size": " x ".join(map(str, self.size)), "batch": self.batch}

    def attempted(self, measure: Callable[[*Arguments], Row], *arguments: *Arguments) -> Row:
        """The row that a function gives, or one that says what went wrong: the next may work."""
        try:
            row = measure(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever a step raises there
            traceback.print_exc()
            row = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:200]}
        return {**self.shape, **row}


def capturable(name: str) -> bool:
    return load_method(name.partition("/")[0]).capturable


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """Of a step, many in a row: the median of a few rows."""
    rows = []
    for _ in range(REPEATS):
        wait(device)
        began = time.perf_counter()
        for _ in range(steps):
            step()
        wait(device)
        rows.append((time.perf_counter() - began) / steps)
    return statistics.median(rows)


def started(name: str, asked: Asked, device: torch.device, precision: Precision, compiled: bool = False) -> Entry:
    """A method/stage before its first step; compiled: its schedules and rates are scalars of the device."""
    state, stage = entries(asked.size, asked.batch, device, precision, only=name)[name]
    engine = state.run.engine.model_copy(update={"compile": True if compiled else None})
    state.run = state.run.model_copy(update={"engine": engine})
    set_learning_rate(state.optimiser, engine, stage, MIDDLE)
    return state, stage


def take_steps(entry: Entry, steps: int, kind: type[CapturedStep] | None) -> list[Tensor]:
    """Losses and terms [1 + terms] of steps along a stage: of this kind after the first one, None for the host's."""
    state, stage = entry
    plan = state.method.batches(stage, state.run.engine.batch_size)
    torch.manual_seed(0)
    captured, losses = None, []
    for number in range(steps):
        progress = progress_at(number / steps, number, state, stage)
        if kind is None or number == 0:
            loss = training_step(state, stage, plan, progress)
        else:
            captured = captured or kind(state, stage, plan)
            loss = captured(progress)
        losses.append(torch.stack([loss.total, *loss.terms.values()]).detach())
    return losses


def progress_at(share: float, number: int, state: TrainingState, stage: Stage) -> Progress:
    """A point of a stage with its schedules; the learning rate is set to that point's."""
    progress = Progress(share, share, number)
    set_learning_rate(state.optimiser, state.run.engine, stage, progress)
    return progress.with_schedules(state.method.schedules(stage, progress))
