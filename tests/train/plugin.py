"""Tiny methods and a tiny dataset as an installed package would bring them. They import harness.api alone."""

import copy
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.api import BatchPlan, Case, CaseSource, Dataset, Loss, Method, MethodParams, Stage, hyper


def squares(patient, split):
    rng = np.random.default_rng(int(patient[1:]))
    label = np.zeros((3, 40, 36), np.uint8)
    for z in range(3):
        y, x = rng.integers(2, 12, 2)
        label[z, y : y + 14, x : x + 9] = 1
        label[z, y + 8 : y + 22, x + 9 : x + 20] = 2
    image = np.array([0.1, 0.9, 0.5])[label] + 0.1 * rng.standard_normal(label.shape)
    return Case(patient, patient, split, image.astype(np.float32), label)


class Squares(Dataset):
    """Two bright squares of different brightness in noise; 6 + 2 + 2 patients of three 40 x 36 slices."""

    make = staticmethod(squares)
    name = "tiny_squares"
    version = 1
    dimension: ClassVar[Literal[2, 3]] = 2
    classes = ("background", "bright", "dim")
    splits: ClassVar = {
        "train": tuple(f"p{k}" for k in range(6)),
        "val": ("p6", "p7"),
        "test": ("p8", "p9"),
    }

    def sources(self, root):
        return [
            CaseSource(patient, patient, split, None, partial(self.make, patient, split))
            for split, patients in self.splits.items()
            for patient in patients
        ]


class SquaresWithoutValidation(Squares):
    name = "tiny_no_validation"
    splits: ClassVar = {
        "train": tuple(f"p{k}" for k in range(8)),
        "val": (),
        "test": ("p8", "p9"),
    }


def balls(patient, split):
    """The volume of one patient, [X, Y, Z]: in some a side is shorter than 16."""
    number = int(patient[1:])
    rng = np.random.default_rng(number)
    shape = (20 + number, 27 - number, 14 + number)
    label = np.zeros(shape, np.uint8)
    for value, radius in ((1, 5.0), (2, 3.5)):
        centre = [rng.uniform(radius, side - radius) for side in shape]
        axes = np.ogrid[tuple(slice(side) for side in shape)]
        label[sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)) < radius**2] = value
    image = np.array([-0.5, 2.0, 1.0])[label] + 0.3 * rng.standard_normal(shape)
    return Case(patient, patient, split, image.astype(np.float32), label, (0.625, 0.625, 0.625))


class Balls(Squares):
    make = staticmethod(balls)
    name = "tiny_balls"
    dimension = 3


def convolution(task, inputs, outputs):
    return (nn.Conv2d if task.dimension == 2 else nn.Conv3d)(inputs, outputs, 3, padding=1)


class StagedParams(MethodParams):
    """What tests turn: waiting costs wall time and no CPU; dying is kill -9 at a step, so many times in all."""

    weight: float = hyper(0.1, "of the consistency", ge=0, search=(0.0, 1.0))
    pause_seconds: float = hyper(0.0, "sleep in each step: wall time without CPU time", ge=0)
    slow_file: str = hyper("", "while it exists each step takes half a second of wall time")
    die_before_step: int = hyper(0, "of the run; 0: never", ge=0)
    deaths: int = hyper(0, "how often it dies there", ge=0)
    tally: str = hyper("", "file that counts the deaths")


class Staged(Method):
    """Has whatever a resume could lose: three stages, dropout, noise, a teacher, a bank, a freeze that lasts."""

    name = "tiny_staged"
    Params = StagedParams
    stages = (Stage("first", 0.25), Stage("second", 0.25), Stage("third", 0.5))

    def __init__(self, task, params):
        super().__init__(task)
        self.params = params
        norm = nn.BatchNorm2d(6) if task.dimension == 2 else nn.BatchNorm3d(6)
        self.encoder = nn.Sequential(convolution(task, task.channels, 6), norm, nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.2), convolution(task, 6, task.n_classes))
        self.net = nn.Sequential(self.encoder, self.head)
        self.teacher = copy.deepcopy(self.net).requires_grad_(requires_grad=False)
        self.bank: Tensor
        self.register_buffer("bank", torch.zeros(4, task.n_classes))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.steps: Tensor
        self.steps_here = 0

    def batches(self, stage, batch_size):
        """The first stage is supervised; later ones take two views of unlabelled images."""
        if stage.name == "first":
            return BatchPlan(labelled=batch_size, unlabelled=0)
        return BatchPlan(labelled=batch_size // 2, unlabelled=batch_size // 2, views=2)

    def start_stage(self, stage):
        if stage.name == "second":
            self.encoder.requires_grad_(requires_grad=False)
            self.teacher.load_state_dict(self.net.state_dict())
            self.bank.zero_()

    def training_loss(self, batch, stage, progress):
        self._disturb()
        supervised = functional.cross_entropy(self.net(batch.images), batch.labels)
        if not batch.unlabelled:
            return Loss(supervised, {"ce": supervised})
        first, second = batch.unlabelled
        with torch.no_grad():
            target = self.teacher(first + 0.1 * torch.randn_like(first)).softmax(1).flatten(2).mean(2)
        mine = self.net(second).softmax(1).flatten(2).mean(2)
        consistency = (mine - target).square().mean() + (mine.mean(0) - self.bank.mean(0)).square().mean()
        with torch.no_grad():
            self.bank.copy_(torch.cat([self.bank[1:], mine.mean(0, keepdim=True)]))
        weight = self.params.weight * progress.stage
        return Loss(supervised + weight * consistency, {"ce": supervised, "consistency": consistency})

    def _disturb(self):
        if self.params.pause_seconds:
            time.sleep(self.params.pause_seconds)
        if self.params.slow_file and Path(self.params.slow_file).exists():
            time.sleep(0.5)
        if self.params.die_before_step and int(self.steps) == self.params.die_before_step:
            die(Path(self.params.tally), self.params.deaths)

    @property
    def pseudo_label_network(self):
        return self.teacher

    def after_step(self, stage, progress):
        self.steps += 1
        with torch.no_grad():
            for old, new in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
                old.lerp_(new, 0.1)

    def diagnostics(self):
        """Draws random numbers, as Monte Carlo dropout would: validations must not change the training for it."""
        return {"noise": float(torch.rand(3).mean()), "bank": float(self.bank.mean())}

    @property
    def predictor(self):
        return self.net


class Mortal(Staged):
    name = "tiny_mortal"


class Doomed(Staged):
    """Likewise, so that a suite can have both."""

    name = "tiny_doomed"


def die(tally, deaths):
    """kill -9 of this process, if it did not happen `deaths` times yet."""
    died = len(tally.read_text(encoding="utf-8")) if tally.exists() else 0
    if died < deaths:
        tally.write_text("x" * (died + 1), encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)


class Short(Method):
    """Stages so short that the second one gets no step when the clock binds."""

    name = "tiny_short"
    stages: tuple[Stage, ...] = (Stage("a", 1e-9), Stage("b", 1e-9), Stage("c", 1 - 2e-9))

    def __init__(self, task, params):
        super().__init__(task)
        self.net = convolution(task, task.channels, task.n_classes)

    def training_loss(self, batch, stage, progress):
        weight = {"a": 1.0, "b": 7.0, "c": 2.0}[stage.name] * (1.0 + progress.stage)
        return Loss(weight * functional.cross_entropy(self.net(batch.images), batch.labels))

    @property
    def predictor(self):
        return self.net


class Faulty(Short):
    """Trains two steps and then has a fault."""

    stages = (Stage("c"),)

    def training_loss(self, batch, stage, progress):
        loss = super().training_loss(batch, stage, progress)
        return self.fault(loss) if progress.step >= 2 else loss

    def fault(self, loss):
        raise NotImplementedError


class NotANumber(Faulty):
    name = "tiny_nan"

    def fault(self, loss):
        return Loss(loss.total * (torch.zeros(()) / 0.0))


class Raising(Faulty):
    """Raises, with a message that holds a file name that is no unicode, and more than one line."""

    name = "tiny_error"

    def fault(self, loss):
        raise ValueError("wrong shape\nin 'scan\udce9.h5'")


class Leaving(Faulty):
    name = "tiny_exit"

    def fault(self, loss):
        sys.exit("no more")


class TorchOutOfMemory(Faulty):
    name = "tiny_torch_oom"

    def fault(self, loss):
        return Loss(torch.empty(2**62, dtype=torch.uint8).float().mean())  # a RuntimeError


class Peeking(Faulty):
    """Opens the test split while it trains, through a cache that it found itself."""

    name = "tiny_peek"

    def fault(self, loss):
        from harness.data.cache import Cache

        (folder,) = Path(os.environ["HARNESS_CACHE"]).glob("tiny_squares-*")
        Cache.open(folder).cases("test")
        return loss


class PeekingTwice(Faulty):
    name = "tiny_quiet_peek"

    def fault(self, loss):
        from harness.api.errors import ClosedSplitError
        from harness.data.cache import Cache

        frame: FrameType | None = sys._getframe()
        caches = list[Cache]()
        while frame is not None and not caches:
            caches = [value for value in frame.f_locals.values() if isinstance(value, Cache)]
            frame = frame.f_back
        assert caches, "a caller must hold the cache"
        try:
            caches[0].cases("test")
        except ClosedSplitError:
            return loss
        raise AssertionError("the test split is open")


class Floor(Short):
    name = "tiny_floor"
    stages = (Stage("c"),)

    def batches(self, stage, batch_size):
        return BatchPlan(labelled=batch_size, unlabelled=0)


class Ceiling(Floor):
    name = "tiny_ceiling"
    labels = "all"
    ranked = False
