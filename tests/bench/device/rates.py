import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import get_args

import torch

from harness.train.build import on_device, update
from harness.train.graph import CapturedStep, as_recorded
from tests.bench.device.common import REPEATS, Asked, capturable, seconds_of, started, wait
from tests.bench.device.counted import count, large_copy, matrix_product
from tests.bench.device.planner import Row
from tests.bench.workload import MIDDLE, Precision, take_middle_step

WARM_UP_STEPS = 3

REFERENCE = """
import json, sys, time, torch
from harness.train.environment import pick_device
from tests.bench.workload import entries, measure

class NoClock:
    start = lambda self: None
    stop = lambda self: [0.0]
    flush = lambda self: []

size, batch, steps, repeats, precision = json.loads(sys.argv[1])
device = pick_device()
torch.set_num_threads(1)
if device.type == "cuda":
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
for name in list(entries((16,) * len(size), 2, torch.device("cpu"))):
    row = {"name": name}
    try:
        state = entries(tuple(size), batch, device, precision, only=name)
        measure(state, 1, 2, NoClock())
        seconds = []
        for _ in range(repeats):
            wait()
            began = time.perf_counter()
            measure(state, steps, 0, NoClock())
            wait()
            seconds.append((time.perf_counter() - began) / steps)
        row["seconds"] = sorted(seconds)[len(seconds) // 2]
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {error}".partition("\\n")[0]
    print(json.dumps(row), flush=True)
"""
"""Steps of all stages of a tree; written against what every tree's `tests.bench.workload` has."""


def ceilings(asked: Asked) -> Iterator[Row]:
    """Operations and bytes a second that the device reaches where nothing else holds it up."""
    on_cuda = asked.device.type == "cuda"
    side, byte_count = (8192, 4 << 30) if on_cuda else (128, 1 << 20)
    where = {"device": torch.cuda.get_device_name(asked.device) if on_cuda else "CPU", "torch": torch.__version__}
    for precision in get_args(Precision):
        step, flops = matrix_product(side, getattr(torch, precision), asked.device)
        step()
        rate = flops / seconds_of(step, asked.steps, asked.device)
        yield {**where, "precision": precision, "flops_a_second": rate}
    step, moved = large_copy(byte_count, asked.device)
    step()
    yield {**where, "bytes_a_second": moved / seconds_of(step, asked.steps, asked.device)}


def speed(asked: Asked) -> Iterator[Row]:
    """Steps that the host takes, with their operations and bytes, and the same replayed from a graph."""

    def by_host(name: str, precision: Precision) -> Row:
        state, stage = started(name, asked, asked.device, precision)

        def step() -> None:
            take_middle_step(state, stage)

        def seconds() -> float:
            for _ in range(WARM_UP_STEPS):
                step()
            return seconds_of(step, asked.steps, asked.device)

        return with_peak(asked.device, seconds) | count(step)._asdict()

    for precision in asked.precisions:
        for name in asked.names:
            what = {"name": name, "precision": precision}
            yield {**what, "how": "host", **asked.attempted(by_host, name, precision)}
            if capturable(name):
                yield {**what, "how": "graph", **asked.attempted(by_graph, name, precision, asked)}


def by_graph(name: str, precision: Precision, asked: Asked) -> Row:
    state, stage = started(name, asked, asked.device, precision, compiled=True)
    began = time.perf_counter()
    progress = MIDDLE.with_schedules(state.method.schedules(stage, MIDDLE))
    plan = state.method.batches(stage, asked.batch)
    for _ in range(WARM_UP_STEPS):
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


def reference(asked: Asked) -> Iterator[Row]:
    """Steps that the host takes, by the code of another tree, in a process that starts there."""
    assert asked.tree is not None, "a reference needs a tree"
    for precision in asked.precisions:
        how = {"precision": precision, "how": "reference", **asked.shape}
        what = json.dumps([asked.size, asked.batch, asked.steps, REPEATS, precision])
        with subprocess.Popen(
            [sys.executable, "-c", REFERENCE, what], cwd=asked.tree, env={**os.environ, "PYTHONSAFEPATH": ""},
            stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                yield {**how, **json.loads(line)}
        if process.returncode:
            yield {**how, "error": f"exit code {process.returncode}"}
