"""Seconds per training step of every method and stage, beside the supervised step of the same run.

    python -m tests.bench.steps_bench [--size 96] [--size 256] [--batch 8] [--steps 10]

Random images stand for scans: the cost of a step does not depend on what they show. Methods take turns, step by step,
so that a machine whose speed drifts slows all of them alike; the median is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

import torch

from harness.data.sampler import TrainingSet
from harness.registry import load_dataset, load_method, method_sources
from harness.spec.method import Stage
from harness.spec.progress import Progress
from harness.spec.records import Budget, DatasetRef, Engine, Preprocessing, Unit
from harness.train.build import build_state
from harness.train.environment import cpu_model, pick_device, prepare_device
from harness.train.loop import start_stage, training_step
from harness.train.state import TrainingState
from harness.train.unit import clock_of

DATASET = "acdc"
MIDDLE = Progress(unit=0.5, stage=0.5, step=100)


def make_unit(method: str, size: int, batch_size: int) -> Unit:
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
        engine=Engine(batch_size=batch_size, channels_last=True),
        budget=Budget(steps=1000),
    )


def random_set(size: int, slices: int, device: torch.device) -> TrainingSet:
    """Noise in the shape of a training set, the first half labelled."""
    generator = torch.Generator().manual_seed(0)
    classes = len(load_dataset(DATASET).classes)
    images = torch.rand(slices, 1, size, size, generator=generator)
    labels = torch.randint(classes, (slices, size, size), generator=generator, dtype=torch.uint8)
    index = torch.arange(slices, device=device)
    return TrainingSet(images.to(device), labels.to(device), index[: slices // 2], index[slices // 2 :])


def entries(size: int, batch_size: int, device: torch.device) -> dict[str, tuple[TrainingState, Stage]]:
    """A state per method and stage; the ceiling's step is the floor's, so it is left out."""
    data = random_set(size, 4 * batch_size, device)
    found = {}
    for name in sorted(method_sources()):
        if load_method(name).labels == "all":
            continue
        for index, stage in enumerate(build_state(make_unit(name, size, batch_size), data, device).method.stages):
            state = build_state(make_unit(name, size, batch_size), data, device)
            start_stage(state)
            for _ in range(index):
                state.meter.next_stage()
                start_stage(state)
            found[f"{name}/{stage.name}"] = (state, stage)
    return found


def measure(size: int, batch_size: int, steps: int, device: torch.device) -> dict[str, float]:
    """Median seconds per step; one round warms up."""
    states = entries(size, batch_size, device)
    clock = clock_of(device)
    seconds: dict[str, list[float]] = {name: [] for name in states}
    for turn in range(steps + 1):
        for name, (state, stage) in states.items():
            clock.start()
            training_step(state, stage, state.method.batches(stage, batch_size), MIDDLE)
            spent = clock.stop() + clock.flush()
            if turn:
                seconds[name] += spent
    return {name: statistics.median(values) for name, values in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one table per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, action="append", help="pixels of a side; repeatable (default 96)")
    parser.add_argument("--batch", type=int, default=8, help="images per step, both streams together")
    parser.add_argument("--steps", type=int, default=10, help="measured steps per method and stage")
    asked = parser.parse_args(arguments)
    device = pick_device()
    prepare_device(device, Engine())
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"one thread of {cpu_model()}"
    for size in asked.size or [96]:
        print(f"\nseconds per step, {size} x {size}, batch {asked.batch}, {where}, torch {torch.__version__}")
        medians = measure(size, asked.batch, asked.steps, device)
        for name, seconds in medians.items():
            print(f"  {name:28} {seconds:8.4f}   {seconds / medians['supervised/train']:5.2f} x supervised")
    return 0


if __name__ == "__main__":
    sys.exit(main())
