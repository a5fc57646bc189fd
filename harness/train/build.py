"""From a unit and a cache to a state that can train."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from harness.api.dataset import Case
from harness.api.errors import UsageError
from harness.api.method import Method
from harness.api.task import Task
from harness.data.cache import Cache
from harness.data.sampler import TrainingSet
from harness.data.slices import Slices
from harness.data.subsets import labelled_patients
from harness.data.volumes import Volumes
from harness.records.schema import Unit
from harness.suite.plan import task_of
from harness.suite.registry import load_dataset, load_method
from harness.train.checkpoint import TrainingState, derive_seed, generator_states, set_generator_states
from harness.train.meter import Meter, ReplayMeter
from harness.train.step import start_stage, take_step

Series = Sequence[tuple[int, float, float]]


def training_set(unit: Unit, cache: Cache, device: torch.device) -> TrainingSet:
    """The unit's training slices or volumes on the device, its labelled patients marked."""
    if cache.reference != unit.dataset:
        planned = unit.dataset.checksum[:10]
        raise UsageError(f"unit {unit.id[:10]} was planned on other data ({planned}) than {cache.folder}")
    patients = labelled_patients(cache.manifest.splits["train"], unit.labelled, unit.subset, unit.dataset.name)
    kind = Volumes if len(unit.preprocessing.size) == 3 else Slices
    return kind.load(cache.cases("train"), patients, unit.preprocessing, device)


UNLABELLED_PATIENTS = 8
"""Of whom unlabelled images are looked at: enough for a curve, and at most about the work of the validation volumes."""


def unlabelled_cases(unit: Unit, cache: Cache) -> list[Case]:
    """Cases of a few evenly spread training patients whose labels the method never sees; none for a ceiling."""
    everybody = cache.manifest.splits["train"]
    labelled = set(labelled_patients(everybody, unit.labelled, unit.subset, unit.dataset.name))
    rest = [patient for patient in everybody if patient not in labelled]
    count = min(UNLABELLED_PATIENTS, len(rest))
    return cache.cases("train", {rest[i * len(rest) // count] for i in range(count)})


def build_state(unit: Unit, data: TrainingSet, device: torch.device, series: Series | None = None) -> TrainingState:
    """A fresh state before `start_stage` of the first stage; `series` replays recorded progress instead of a clock."""
    method = build_method(unit, device)
    shares = [stage.share for stage in method.stages]
    meter = Meter(unit.budget, shares) if series is None else ReplayMeter(unit.budget, shares, series)
    sampler = data.sampler(derive_seed(unit.seed, "sampling"), unit.engine.augmentation == "weak")
    torch.manual_seed(derive_seed(unit.seed, "training"))
    optimiser = method.optimiser(method.stages[0], unit.engine.optimiser)
    return TrainingState(unit, device, method, sampler, meter, optimiser)


def build_method(unit: Unit, device: torch.device) -> Method:
    """The method with the initial weights of the unit's seed: equal seeds give every method the same backbone."""
    kind = load_method(unit.method)
    if kind.version != unit.method_version:
        raise UsageError(f"{unit.method} is version {kind.version} here, the unit asks for {unit.method_version}")
    torch.manual_seed(derive_seed(unit.seed, "weights"))
    method = kind.build(task_of_unit(unit), kind.Params.model_validate(unit.params)).to(device)
    if unit.engine.channels_last:
        volumes = len(unit.preprocessing.size) == 3
        method = method.to(memory_format=torch.channels_last_3d if volumes else torch.channels_last)  # type: ignore[call-overload]
    return method


def task_of_unit(unit: Unit) -> Task:
    """The task of a unit's dataset at the unit's size."""
    return task_of(load_dataset(unit.dataset.name), unit.preprocessing.size)


def warm_up(unit: Unit, data: TrainingSet, device: torch.device) -> None:
    """Uncharged steps on a throw-away copy, the same number for every method and stage; leaves no trace."""
    generators = generator_states(device)
    copy = build_state(unit, data, device)
    while True:
        start_stage(copy)
        stage = copy.stage
        plan = copy.method.batches(stage, unit.engine.batch_size)
        for _ in range(unit.engine.warmup_steps):
            take_step(copy, stage, plan)
        if not copy.meter.next_stage():
            break
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    set_generator_states(device, generators)
