"""What the benchmarks of training steps run: a started state per method and stage."""

import statistics
from collections.abc import Mapping
from typing import Literal

import torch

from harness.api import Progress, Stage
from harness.data.sampler import TrainingSet
from harness.data.slices import Slices
from harness.data.volumes import Volumes
from harness.records.budget import Budget
from harness.records.schema import DatasetRef, Engine, Preprocessing, Run
from harness.suite.registry import load_dataset, load_method, method_sources
from harness.train.build import build_state, start_stage, training_step
from harness.train.checkpoint import TrainingState
from harness.train.clock import StepClock

DATASETS = {2: "acdc", 3: "la"}
MIDDLE = Progress(run=0.5, stage=0.5, step=100)
"""Progress of every step that is measured; its schedules are the method's."""

Size = tuple[int, ...]
Precision = Literal["float32", "bfloat16"]
Entry = tuple[TrainingState, Stage]


def make_run(method: str, size: Size, batch_size: int, precision: Precision = "float32") -> Run:
    """A run with a method's defaults; its data reference names nothing that exists."""
    kind = load_method(method)
    return Run(
        method=method,
        method_version=kind.version,
        params=kind.Params().model_dump(mode="json"),
        dataset=DatasetRef(name=DATASETS[len(size)], version=1, checksum="random"),
        preprocessing=Preprocessing(size=size),
        labelled=1,
        subset=0,
        seed=0,
        engine=Engine(batch_size=batch_size, channels_last=len(size) == 2, precision=precision),
        budget=Budget(steps=1000),
    )


def random_set(size: Size, count: int, device: torch.device) -> TrainingSet:
    """Noise in the shape of a training set, the first half labelled."""
    generator = torch.Generator().manual_seed(0)
    classes = len(load_dataset(DATASETS[len(size)]).classes)
    images = torch.rand(count, 1, *size, generator=generator)
    labels = torch.randint(classes, (count, *size), generator=generator, dtype=torch.uint8)
    index = torch.arange(count, device=device)
    halves = index[: count // 2], index[count // 2 :]
    ones = torch.ones(count, device=device)
    if len(size) == 2:
        return Slices(images.to(device), labels.to(device), ones, ones, ones, *halves)
    shapes = torch.tensor(size, device=device).repeat(count, 1)
    offsets = index * shapes[0].prod()
    flat = images.flatten().to(device), labels.flatten().to(device)
    return Volumes(*flat, offsets, shapes, ones, ones, *halves, patch=size)


def entries(
    size: Size, batch_size: int, device: torch.device, precision: Precision = "float32", only: str | None = None
) -> dict[str, Entry]:
    """A started state per method and stage, or of `only` one.

    The fully supervised reference is left out: its step is that of the labelled-only baseline.
    """
    data = random_set(size, 4 * batch_size if len(size) == 2 else 2 * batch_size, device)
    states = {}
    for name in sorted(method_sources()):
        if load_method(name).labels == "all" or (only and only.split("/")[0] != name):
            continue
        run = make_run(name, size, batch_size, precision)
        for index, stage in enumerate(build_state(run, data, device).method.stages):
            if only and only != f"{name}/{stage.name}":
                continue
            state = build_state(run, data, device)
            start_stage(state)
            for _ in range(index):
                state.meter.next_stage()
                start_stage(state)
            states[f"{name}/{stage.name}"] = (state, stage)
    return states


def take_middle_step(state: TrainingState, stage: Stage) -> None:
    plan = state.method.batches(stage, state.run.engine.batch_size)
    training_step(state, stage, plan, MIDDLE.with_schedules(state.method.schedules(stage, MIDDLE)))


def measure(measured: Mapping[str, Entry], turns: int, warm_up: int, clock: StepClock) -> dict[str, float]:
    """Median seconds per step of so many turns, after some that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for turn in range(warm_up + turns):
        for name, (state, stage) in measured.items():
            clock.start()
            take_middle_step(state, stage)
            spent = clock.stop() + clock.flush()
            if turn >= warm_up:
                seconds[name] += spent
    return {name: statistics.median(values) for name, values in seconds.items()}


def warm_up(device: torch.device, steps: int | None = None) -> int:
    return (3 if device.type == "cuda" else 1) if steps is None else steps
