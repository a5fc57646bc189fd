"""A method on a few phantoms at small size, and the steps that it takes there: the engine's own, one by one."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from harness.api.dataset import Task
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.params import MethodParams
from harness.api.progress import Progress
from harness.check.places import Roots, place_of_hook, roots_of
from harness.data.preprocess import preprocess
from harness.data.sampler import TrainingSet
from harness.data.slices import Slices
from harness.data.volumes import Volumes
from harness.records.budget import Budget, StageSteps
from harness.records.manifest import CaseInfo
from harness.records.schema import DatasetRef, Engine, Preprocessing, Run
from harness.suite.costs import task_of
from harness.suite.registry import load_dataset
from harness.train.build import method_of, set_learning_rate, start_stage, state_of, update
from harness.train.checkpoint import TrainingState, content_of

CPU = torch.device("cpu")
DATASETS = {2: "phantom", 3: "phantom3d"}
SIZES: Mapping[int, tuple[int, ...]] = {2: (32, 32), 3: (32, 16, 16)}
PATIENTS, LABELLED = 4, 2
BATCH_SIZE = 4
STEPS = 4
"""Of each stage."""
Trained = tuple[list[Tensor], dict[str, Tensor]]
"""The loss of each step, and at the end what the method's state dict holds."""


@dataclass(frozen=True)
class Step:
    stage: Stage
    progress: Progress
    batch: Batch
    loss: Loss


@dataclass(frozen=True)
class Rig:
    kind: type[Method]
    task: Task

    @property
    def roots(self) -> Roots:
        """The author's files."""
        return roots_of(self.kind)

    def hook(self, name: str) -> str:
        return place_of_hook(self.kind, name)

    @property
    def images(self) -> Tensor:
        """Two images of the task, [2, C, *size]."""
        data = training_images(self.task.dimension)
        return torch.cat((data.example, data.example.flip(-1)))

    def build(self, params: MethodParams | None = None) -> Method:
        """A new instance, weights of one seed, in training mode."""
        torch.manual_seed(0)
        return self.kind.build(self.task, params or self.kind.Params()).train()

    def state(self, seed: int = 0, count: int = STEPS) -> TrainingState:
        """A fresh state with the defaults, before its first stage is started; count: steps of each stage."""
        run = Run(
            method=self.kind.name,
            method_version=self.kind.version,
            params=self.kind.Params().model_dump(mode="json"),
            dataset=DatasetRef(name=self.task.name, version=1, checksum="check"),
            preprocessing=Preprocessing(size=self.task.size),
            labelled=LABELLED,
            subset=0,
            seed=seed,
            engine=Engine(batch_size=BATCH_SIZE),
            budget=Budget(steps=STEPS),
        )
        method = method_of(run, self.kind, self.task, CPU)
        stages = [StageSteps(name=stage.name, share=stage.share, steps=count) for stage in method.stages]
        budget = Budget(reference_steps=count * len(stages), stages=tuple(stages))
        data = training_images(self.task.dimension)
        return state_of(run.model_copy(update={"budget": budget}), method, data, CPU)


def rig_of(kind: type[Method], dimension: int) -> Rig:
    return Rig(kind, task_of(load_dataset(DATASETS[dimension]), SIZES[dimension]))


@lru_cache
def training_images(dimension: int) -> TrainingSet:
    """The training images of a few phantoms at small size, those of the first patients labelled."""
    dataset = load_dataset(DATASETS[dimension])
    patients = dataset.splits["train"][:PATIENTS]
    cases = [source.load() for source in dataset.sources(None) if source.patient in patients]
    preprocessed = preprocess([CaseInfo.about(case, "") for case in cases], cases, Preprocessing(size=SIZES[dimension]))
    kind = Slices if dimension == 2 else Volumes
    return kind.load(preprocessed, patients[:LABELLED], CPU)


Around = Callable[[Batch], AbstractContextManager[object]]


def steps(state: TrainingState, around: Around = nullcontext, *, started: bool = False) -> Iterator[Step]:
    """Take the steps that are left of a run, one when it is asked for; around: a context for a step's work.

    started: the state's stage has started already, as after a resumption.
    """
    while True:
        if not started:
            start_stage(state)
        started = False
        while state.meter.may_step():
            yield take_step(state, around)
        if not state.meter.next_stage():
            return


def take_step(state: TrainingState, around: Around = nullcontext) -> Step:
    stage, progress = state.stage, state.meter.progress()
    set_learning_rate(state.optimiser, state.run.engine, stage, progress)
    progress = progress.with_schedules(state.method.schedules(stage, progress))
    batch = state.sampler.next(state.method.batches(stage, state.run.engine.batch_size))
    state.monitor.given(batch)
    with around(batch):
        loss = update(state, stage, batch, progress)
    state.method.on_progress(stage, progress)
    state.meter.count_step()
    return Step(stage, progress, batch, loss)


def content(state: TrainingState) -> dict[str, Tensor]:
    """A copy of all that the method's state dict holds."""
    held = state.method.state_dict()
    numbers = {name: value for name, value in held.items() if isinstance(value, Tensor | int | float)}
    return {name: torch.as_tensor(value).detach().clone() for name, value in numbers.items()}


@dataclass(frozen=True)
class Reference:
    """A training that nothing disturbed.

    checkpoints: as files, by the number of steps, from the middle of each stage.
    changed: attributes outside the state dict that training changed, each with the class that it is of.
    """

    trained: Trained
    checkpoints: Mapping[int, bytes]
    changed: tuple[tuple[type, str], ...]


@lru_cache(maxsize=2)
def reference(rig: Rig) -> Reference:
    """Train with the defaults; once for all lines that compare with it."""
    state = rig.state()
    before = _outside_state(state.method)
    losses, checkpoints = [], {}
    for step in steps(state):
        losses.append(step.loss.total.detach().clone())
        if state.meter.stage_steps[state.meter.stage] == STEPS // 2:
            file = io.BytesIO()
            torch.save(content_of(state), file)
            checkpoints[state.meter.steps] = file.getvalue()
    after = _outside_state(state.method)
    changed = tuple(key for key, text in after.items() if before.get(key) != text)
    return Reference((losses, content(state)), checkpoints, changed)


def _outside_state(method: nn.Module) -> dict[tuple[type, str], str]:
    """Attributes of all parts that are not in the state dict, as text."""
    return {
        (type(part), name): _text(value)
        for part in method.modules()
        for name, value in vars(part).items()
        if not name.startswith("_") and name != "training" and not isinstance(value, nn.Module)
    }


def _text(value: object) -> str:
    if isinstance(value, torch.Generator):
        value = value.get_state()
    return f"{value.double().sum()}" if isinstance(value, Tensor) else repr(value)


def train(state: TrainingState, *, started: bool = False) -> Trained:
    """Take all steps that are left; the loss of each, and the state at the end."""
    losses = [step.loss.total.detach().clone() for step in steps(state, started=started)]
    return losses, content(state)


def first_difference(whole: Trained, other: Trained) -> str:
    """Where two trainings begin to differ in a bit, in words; empty where they never do."""
    losses = zip(whole[0][::-1], other[0][::-1], strict=False)
    distances = [back for back, (a, b) in enumerate(losses, 1) if not _same(a, b)]
    if distances:
        number = len(whole[0]) - max(distances)
        a, b = float(whole[0][-max(distances)]), float(other[0][-max(distances)])
        return f"the loss of step {number} is {a:.9g} and {b:.9g}"
    names = [name for name, value in whole[1].items() if name not in other[1] or not _same(value, other[1][name])]
    return f"{names[0]} differs at the end" if names else ""


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())
