"""From a run and a cache to a state that can train, and its steps: of training, warm-up and replay alike."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from harness.api.dataset import Task
from harness.api.errors import UsageError
from harness.api.losses import LABELLED_LOSSES
from harness.api.method import Batch, BatchPlan, Loss, Method, Stage
from harness.api.progress import Progress, poly
from harness.data.cache import Cache
from harness.data.mapped import map_cases
from harness.data.preprocess import Preprocessed
from harness.data.sampler import TrainingSet
from harness.data.slices import Slices
from harness.data.subsets import labelled_patients
from harness.data.volumes import Volumes
from harness.records.schema import Engine, Run
from harness.suite.costs import task_of
from harness.suite.registry import load_dataset, load_method
from harness.train.checkpoint import TrainingState, derive_seed, generator_states, set_generator_states
from harness.train.meter import Meter, ReplayMeter
from harness.train.unsound import refuse_unsound_convolutions

Series = Sequence[tuple[int, float, float]]


def training_cases(run: Run, cache: Cache) -> Preprocessed:
    """All training cases at the run's size, in memory that the processes of a machine share."""
    if cache.reference != run.dataset:
        planned = run.dataset.checksum[:10]
        raise UsageError(f"run {run.id[:10]} was planned on other data ({planned}) than {cache.folder}")
    return map_cases(cache, "train", run.preprocessing)


def training_set(run: Run, cases: Preprocessed, device: torch.device) -> TrainingSet:
    """The run's training slices or volumes on the device, its labelled patients marked."""
    labelled = labelled_patients(cases.annotated_patients, run.labelled, run.subset, run.dataset.name)
    kind = Volumes if len(run.preprocessing.size) == 3 else Slices
    return kind.load(cases, labelled, device)


UNLABELLED_PATIENTS = 8
"""Patients whose unlabelled images a validation predicts: enough for a curve, about the work of the validation set."""


def unlabelled_patients(run: Run, cases: Preprocessed) -> set[str]:
    """A few evenly spread training patients whose labels the method never sees; none where it sees all that exist."""
    labelled = set(labelled_patients(cases.annotated_patients, run.labelled, run.subset, run.dataset.name))
    rest = [patient for patient in cases.annotated_patients if patient not in labelled]
    count = min(UNLABELLED_PATIENTS, len(rest))
    return {rest[i * len(rest) // count] for i in range(count)}


def build_state(run: Run, data: TrainingSet, device: torch.device, series: Series | None = None) -> TrainingState:
    """A fresh state before `start_stage` of the first stage; `series` replays recorded progress instead of a clock."""
    return state_of(run, build_method(run, device), data, device, series)


def state_of(
    run: Run, method: Method, data: TrainingSet, device: torch.device, series: Series | None = None
) -> TrainingState:
    shares = [stage.share for stage in method.stages]
    meter = Meter(run.budget, shares) if series is None else ReplayMeter(run.budget, shares, series)
    sampler = data.sampler(derive_seed(run.seed, "sampling"), run.engine.augmentation)
    torch.manual_seed(derive_seed(run.seed, "training"))
    optimiser = method.optimiser(method.stages[0], run.engine.optimiser)
    return TrainingState(run, device, method, sampler, meter, optimiser)


def build_method(run: Run, device: torch.device, task: Task | None = None) -> Method:
    """The method with the initial weights of the run's seed: equal seeds give every method the same backbone."""
    kind = load_method(run.method)
    if kind.version != run.method_version:
        raise UsageError(f"{run.method} is version {kind.version} here, the run asks for {run.method_version}")
    return method_of(run, kind, task or task_of_run(run), device)


def method_of(run: Run, kind: type[Method], task: Task, device: torch.device) -> Method:
    """The same of a class that need not be registered."""
    torch.manual_seed(derive_seed(run.seed, "weights"))
    method = kind.build(task, kind.Params.model_validate(run.params)).to(device)
    method.labelled_loss = LABELLED_LOSSES[run.engine.loss]
    if run.engine.channels_last:
        volumes = len(run.preprocessing.size) == 3
        method = method.to(memory_format=torch.channels_last_3d if volumes else torch.channels_last)  # type: ignore[call-overload]
    return method


def task_of_run(run: Run) -> Task:
    return task_of(load_dataset(run.dataset.name), run.preprocessing.size)


def warm_up(run: Run, data: TrainingSet, device: torch.device) -> None:
    """Uncharged steps on a throw-away copy, the same number for every method and stage; leaves no trace."""
    generators = generator_states(device)
    copy = build_state(run, data, device)
    with refuse_unsound_convolutions(copy.method, run.engine, device):
        for stage, plan in enter_stages(copy):
            for _ in range(run.engine.warmup_steps):
                take_step(copy, stage, plan)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    set_generator_states(device, generators)


def start_stage(state: TrainingState) -> None:
    """Enter the meter's stage: weights handed over, a fresh optimiser (the rate restarts, momentum resets).

    The method is put into training mode first, so that a stage may freeze a part by `.eval()`.
    """
    stage = state.stage
    state.method.train()
    state.method.start_stage(stage)
    state.optimiser = state.method.optimiser(stage, state.run.engine.optimiser)


def go_on(state: TrainingState, content: Mapping[str, Any]) -> None:
    """Bring a fresh state to where the content of a checkpoint was taken.

    What a stage froze stays frozen in those after it, so each stage up to that of the checkpoint is started, in order.
    """
    state.meter.load_state_dict(content["meter"])
    for stage in state.method.stages[: state.meter.stage]:
        state.method.start_stage(stage)
    start_stage(state)
    state.load(content)


def enter_stages(state: TrainingState) -> Iterator[tuple[Stage, BatchPlan]]:
    """Start the state's stage and those after it, each before it is given."""
    while True:
        start_stage(state)
        yield state.stage, state.method.batches(state.stage, state.run.engine.batch_size)
        if not state.meter.next_stage():
            return


def training_step(state: TrainingState, stage: Stage, plan: BatchPlan, progress: Progress) -> Loss:
    """Assemble a batch, augment, update, and what the method does afterwards; the loss, on the device.

    Nothing in it waits for the device. The optimiser has the step's learning rate already.
    """
    batch = state.sampler.next(plan)
    state.monitor.given(batch)
    given = on_device(progress, state.device) if state.run.engine.compile else progress
    with forward_precision(state):
        loss = state.method.training_loss(batch, stage, given)
    descend(state, stage, loss, given)
    state.method.on_progress(stage, progress)
    return loss


def update(state: TrainingState, stage: Stage, batch: Batch, progress: Progress) -> Loss:
    """What of a step is on the device alone, so that a graph can hold all of it."""
    with forward_precision(state):
        loss = state.method.training_loss(batch, stage, progress)
    descend(state, stage, loss, progress)
    return loss


def forward_precision(state: TrainingState) -> AbstractContextManager[object]:
    """The suite's precision for a forward pass; the backward pass follows it by itself."""
    return torch.autocast(state.device.type, torch.bfloat16, enabled=state.run.engine.precision == "bfloat16")


def descend(state: TrainingState, stage: Stage, loss: object, progress: Progress) -> None:
    """Backward, optimiser and the method's averages. Raises `TypeError` for what is no `Loss`."""
    if not isinstance(loss, Loss):
        raise TypeError(f"{type(state.method).__name__}.training_loss gives {type(loss).__name__}, no Loss")
    state.optimiser.zero_grad(set_to_none=True)
    loss.total.backward()
    state.optimiser.step()
    state.method.after_step(stage, progress)


def on_device(progress: Progress, device: torch.device) -> Progress:
    """The same with schedules as device scalars, as a graph reads them: equal numbers, whoever takes the step."""
    schedules = {name: torch.full((), float(value), device=device) for name, value in progress.schedules.items()}
    return progress.with_schedules(schedules)


def take_step(state: TrainingState, stage: Stage, plan: BatchPlan, progress: Progress | None = None) -> None:
    """A step without clock, history and monitor: of a warm-up, a calibration or a replay."""
    progress = progress or state.meter.progress()
    set_learning_rate(state.optimiser, state.run.engine, stage, progress)
    training_step(state, stage, plan, progress.with_schedules(state.method.schedules(stage, progress)))
    state.meter.count_step()


def set_learning_rate(optimiser: torch.optim.Optimizer, engine: Engine, stage: Stage, progress: Progress) -> float:
    """Scale every group's initial rate by the stage's factor and the schedule at its progress; the first group's rate.

    Where steps are compiled, a rate is a scalar beside the parameters, always the same one: a graph reads it there.
    """
    settings = engine.optimiser
    factor = poly(progress.stage, settings.poly_power) if settings.schedule == "poly" else 1.0
    rates = [group.setdefault("initial_lr", group["lr"]) * factor * stage.rate for group in optimiser.param_groups]
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        device = group["params"][0].device
        if not engine.compile:
            group["lr"] = rate
        elif isinstance(group["lr"], torch.Tensor) and group["lr"].device == device:  # a checkpoint's is on the host
            group["lr"].fill_(rate)
        else:
            group["lr"] = torch.full((), rate, device=device)
    return float(rates[0])
