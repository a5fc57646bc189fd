"""Seconds per training step of every method and stage, beside the supervised step of the same run.

    python -m tests.bench.steps_bench [--size 96] [--size 256] [--batch 8] [--threads 2] [--steps 5] [--dense 1]

The last stages of ACTION and ACTION++ stand beside the same stage written down plainly (`tests.bench.dense`), which is
measured with --dense steps. Random images stand for scans: the cost of a step does not depend on what they show.
Methods take turns, step by step, so that a machine whose speed drifts slows all of them alike; the median is printed:
of the thread's CPU seconds on one thread, of wall seconds on several, of the device's on CUDA.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch

from harness.budget.clock import StepClock
from harness.data.slices import Slices
from harness.registry import load_dataset, load_method, method_sources
from harness.spec.method import Method, Stage
from harness.spec.progress import Progress
from harness.spec.records import Budget, DatasetRef, Engine, Preprocessing, Unit
from harness.train.build import build_state
from harness.train.environment import cpu_model, pick_device, prepare_device
from harness.train.loop import start_stage, training_step
from harness.train.state import TrainingState
from harness.train.unit import clock_of
from tests.bench.dense import DenseACTION, DenseACTIONPP

DATASET = "acdc"
SIZES = (96, 128, 256)
MIDDLE = Progress(unit=0.5, stage=0.5, step=100)
DENSE: Mapping[str, type[Method]] = {"action/anatomical": DenseACTION, "action_pp/anatomical": DenseACTIONPP}
"""Method and stage -> the same, written down plainly."""

Precision = Literal["float32", "bfloat16"]
Entry = tuple[TrainingState, Stage]


class WallClock:
    """Wall seconds: of work on several threads, which a thread's CPU time does not tell."""

    pending = 0

    def __init__(self) -> None:
        self._started = 0.0

    def start(self) -> None:
        """A step begins."""
        self._started = time.perf_counter()

    def stop(self) -> list[float]:
        """Its seconds."""
        return [time.perf_counter() - self._started]

    def flush(self) -> list[float]:
        """Nothing is ever pending."""
        return []


def make_unit(method: str, size: int, batch_size: int, precision: Precision = "float32") -> Unit:
    """A unit with a method's defaults; its data reference names nothing that exists."""
    kind = load_method(method)
    return Unit(
        method=method,
        method_version=kind.version,
        params=kind.Params().model_dump(mode="json"),
        dataset=DatasetRef(name=DATASET, version=1, checksum="random"),
        preprocessing=Preprocessing(size=(size, size)),
        labelled=1,
        subset=0,
        seed=0,
        engine=Engine(batch_size=batch_size, channels_last=True, precision=precision),
        budget=Budget(steps=1000),
    )


def random_set(size: int, slices: int, device: torch.device) -> Slices:
    """Noise in the shape of a training set, the first half labelled."""
    generator = torch.Generator().manual_seed(0)
    classes = len(load_dataset(DATASET).classes)
    images = torch.rand(slices, 1, size, size, generator=generator)
    labels = torch.randint(classes, (slices, size, size), generator=generator, dtype=torch.uint8)
    index = torch.arange(slices, device=device)
    return Slices(images.to(device), labels.to(device), index[: slices // 2], index[slices // 2 :])


def entries(size: int, batch_size: int, device: torch.device, precision: Precision = "float32") -> dict[str, Entry]:
    """A state per method and stage, started; the ceiling's step is the floor's, so it is left out."""
    data = random_set(size, 4 * batch_size, device)
    found = {}
    for name in sorted(method_sources()):
        if load_method(name).labels == "all":
            continue
        unit = make_unit(name, size, batch_size, precision)
        for index, stage in enumerate(build_state(unit, data, device).method.stages):
            state = build_state(unit, data, device)
            start_stage(state)
            for _ in range(index):
                state.meter.next_stage()
                start_stage(state)
            found[f"{name}/{stage.name}"] = (state, stage)
    return found


def dense(measured: Mapping[str, Entry], device: torch.device) -> dict[str, Entry]:
    """States of the same units and stages whose method is the plain one."""
    found = {}
    for name, kind in DENSE.items():
        measured_state, stage = measured[name]
        state = build_state(measured_state.unit, measured_state.sampler.data, device)
        method = kind.build(state.method.task, kind.Params.model_validate(state.unit.params))
        state.method = method.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for _ in range(method.stages.index(stage)):
            state.meter.next_stage()
        start_stage(state)
        found[name] = (state, stage)
    return found


def measure(measured: Mapping[str, Entry], turns: int, warm_up: int, clock: StepClock) -> dict[str, float]:
    """Median seconds per step of so many turns, after some that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for turn in range(warm_up + turns):
        for name, (state, stage) in measured.items():
            clock.start()
            training_step(state, stage, state.method.batches(stage, state.unit.engine.batch_size), MIDDLE)
            spent = clock.stop() + clock.flush()
            if turn >= warm_up:
                seconds[name] += spent
    return {name: statistics.median(values) for name, values in seconds.items()}


def table(size: int, precision: Precision, asked: argparse.Namespace, device: torch.device) -> list[str]:
    """Lines of one table: seconds, steps a second, ratio to the supervised step, and to the plain one."""
    clock = clock_of(device) if device.type == "cuda" or asked.threads == 1 else WallClock()
    on_cuda = device.type == "cuda"
    states = entries(size, asked.batch, device, precision)
    medians = measure(states, asked.steps, 3 if on_cuda else 1, clock)
    plain = measure(dense(states, device), asked.dense, int(on_cuda), clock) if asked.dense else {}
    lines = []
    for name, seconds in medians.items():
        ratio = seconds / medians["supervised/train"]
        line = f"  {name:24} {seconds:9.4f} s {1 / seconds:8.2f} /s {ratio:6.2f} x supervised"
        if name in plain:
            line += f"   plainly {plain[name]:8.3f} s, {plain[name] / seconds:5.1f} times as long"
        lines.append(line)
    return lines


def options() -> argparse.ArgumentParser:
    """What can be asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, action="append", help=f"pixels of a side; repeatable (default {SIZES})")
    parser.add_argument("--batch", type=int, default=8, help="images per step, both streams together")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; a scored unit has one")
    parser.add_argument("--steps", type=int, default=5, help="measured steps per method and stage")
    parser.add_argument("--dense", type=int, default=1, help="measured steps of the plainly written stage; 0: none")
    parser.add_argument(
        "--precision", action="append", choices=get_args(Precision), help="repeatable (default float32; CUDA: both)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one table per size and precision."""
    asked = options().parse_args(arguments)
    device = pick_device()
    prepare_device(device, Engine())
    torch.set_num_threads(asked.threads)
    on_cuda = device.type == "cuda"
    where = torch.cuda.get_device_name(device) if on_cuda else f"{asked.threads} thread(s) of {cpu_model()}"
    for size in asked.size or SIZES:
        for precision in asked.precision or (get_args(Precision) if on_cuda else ["float32"]):
            what = f"{size} x {size}, batch {asked.batch}, {precision}, {where}, torch {torch.__version__}"
            print(f"\nseconds per step, {what}", flush=True)
            print("\n".join(table(size, precision, asked, device)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
