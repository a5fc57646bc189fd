"""The part that measures seconds and memory of steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch

from harness.train.build import on_device, update
from harness.train.graph import CapturedStep, as_recorded
from tests.bench.device.common import Asked, Row, capturable, seconds_of, started, wait
from tests.bench.workload import MIDDLE, Precision, take_middle_step

WARM_UP_STEPS = 3


def speed(asked: Asked) -> Iterator[Row]:
    """Steps that the host takes, and the same replayed from a graph."""

    def by_host(name: str, precision: Precision) -> Row:
        state, stage = started(name, asked, asked.device, precision)

        def step() -> None:
            take_middle_step(state, stage)

        def seconds() -> float:
            for _ in range(WARM_UP_STEPS):
                step()
            return seconds_of(step, asked.steps, asked.device)

        return with_peak(asked.device, seconds)

    for precision in asked.precisions:
        for name in asked.names:
            what = {"name": name, "precision": precision}
            yield {**what, "how": "host", **asked.attempted(by_host, name, precision)}
            if capturable(name):
                yield {**what, "how": "graph", **asked.attempted(by_graph, name, precision, asked)}


def by_graph(name: str, precision: Precision, asked: Asked) -> Row:
    """Replayed steps."""
    state, stage = started(name, asked, asked.device, precision, compiled=True)
    began = time.perf_counter()
    progress = MIDDLE.with_schedules(state.method.schedules(stage, MIDDLE))
    plan = state.method.batches(stage, asked.batch)
    for _ in range(WARM_UP_STEPS):  # by what is recorded below, so that torch's compiler need not look at it again
        update(state, stage, state.sampler.next(plan), as_recorded(on_device(progress, state.device).schedules))
    row: Row = {}

    def seconds() -> float:
        step = CapturedStep(state, stage, plan)
        step(progress)
        wait(asked.device)
        row["compile_seconds"] = time.perf_counter() - began
        return seconds_of(lambda: step(progress), asked.steps, asked.device)

    return with_peak(asked.device, seconds) | row


def with_peak(device: torch.device, function: Callable[[], float]) -> Row:
    """Seconds that a function gives, and on CUDA the most memory that torch gave to tensors meanwhile."""
    if device.type != "cuda":
        return {"seconds": function()}
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    return {"seconds": function(), "peak_bytes": torch.cuda.max_memory_allocated(device)}
