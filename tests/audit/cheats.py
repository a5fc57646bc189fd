"""Methods that break a rule of fairness, and honest ones beside them; an installed package would bring them so."""

import hashlib
import os
import sys
import threading
import time
import zlib
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from harness.api.method import Batch, BatchPlan, Loss, Method, Stage
from harness.api.params import Alteration


class Semi(Method):
    """Honest: half a batch labelled, the other half drawn to be sure of itself."""

    name = "cheat_semi"

    def __init__(self, task, params):
        super().__init__(task)
        self.weight = zlib.crc32(self.name.encode()) % 997 / 1e4  # no two methods end with the same weights
        self.net = nn.Sequential(nn.Conv2d(task.channels, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, task.n_classes, 1))

    def training_loss(self, batch, stage, progress):
        images = self.changed(torch.cat((batch.images, *batch.unlabelled)))
        labelled, rest = self.net(images).tensor_split((len(batch.images),))
        loss = functional.cross_entropy(labelled, batch.labels)
        if len(rest):
            loss = loss - self.weight * (rest.softmax(1) * rest.log_softmax(1)).mean()
        return Loss(loss)

    def changed(self, images):
        return images

    @property
    def predictor(self):
        return self.net


class Floor(Semi):
    """Honest: labelled images alone."""

    name = "cheat_floor"

    def batches(self, stage, batch_size):
        return BatchPlan(labelled=batch_size, unlabelled=0)


class Ceiling(Floor):
    """Honest: all labels."""

    name = "cheat_ceiling"
    labels = "all"
    ranked = False


class Open(Semi):
    """Honest: says that it makes images noisy."""

    name = "cheat_open"
    augmentation: tuple[Alteration, ...] = ("altered",)

    def changed(self, images):
        return images + 0.1 * torch.randn_like(images)


def cache_folder():
    """The prepared cache, which a method is not told."""
    (folder,) = Path(os.environ["HARNESS_CACHE"]).glob("tiny_squares-*")
    return folder


class ReadsTest(Semi):
    """Reads test labels; swallows the refusal."""

    def training_loss(self, batch, stage, progress):
        from harness.api.errors import ClosedSplitError

        try:
            cases = list(self.test_cases())
        except ClosedSplitError:
            return super().training_loss(batch, stage, progress)
        raise AssertionError(f"{len(cases)} test cases are open")

    def test_cases(self):
        raise NotImplementedError


class Forges(ReadsTest):
    """Through a cache of its own and with a permit that it made itself."""

    name = "cheat_forges"

    def test_cases(self):
        from harness.data.cache import Cache
        from harness.data.permit import TestPermit

        class Permit(TestPermit):
            def check(self):
                pass

        return Cache.open(cache_folder()).test_cases(Permit(Path(), "", Path()))


class Peeks(ReadsTest):
    """Through the engine's own cache."""

    name = "cheat_peeks"

    def test_cases(self):
        frame: FrameType | None = sys._getframe()
        holders: list[Any] = []
        while frame is not None and not holders:
            holders = [value for value in frame.f_locals.values() if hasattr(value, "cache")]
            frame = frame.f_back
        assert holders, "somebody must hold the cache"
        return holders[0].cache.cases("test")


class ReadsFile(ReadsTest):
    """From the cache's file, through the engine's own reader."""

    name = "cheat_reads_file"

    def test_cases(self):
        from harness.data.cache import read_cases
        from harness.records.manifest import read_manifest

        infos = [info for info in read_manifest(cache_folder() / "manifest.json").cases if info.split == "test"]
        return read_cases(cache_folder() / "test.h5", infos)


class LongStart(Semi):
    """Overspends: does its work where the last stage starts, when most of the budget is gone."""

    name = "cheat_long_start"

    @property
    def stages(self):
        return (Stage("first", 0.9), Stage("second", 0.1))

    def start_stage(self, stage):
        until = time.thread_time() + 0.5
        while stage.name == "second" and time.thread_time() < until:
            pass


class TrainsAtValidations(Semi):
    """Overspends: takes steps while the engine asks for its diagnostics, where no clock runs."""

    name = "cheat_trains_at_validations"

    def diagnostics(self):
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(1.001)
        return {}


class OtherThread(Semi):
    """Overspends: works on a thread that the clock does not see."""

    name = "cheat_other_thread"

    def training_loss(self, batch, stage, progress):
        work = threading.Thread(target=hashlib.sha256, args=(bytes(24_000_000),))
        work.start()
        loss = super().training_loss(batch, stage, progress)
        work.join()
        return loss


class Noisy(Open):
    """Another augmentation than declared: noise, declares nothing."""

    name = "cheat_noisy"
    augmentation = ()


class LateNoise(Semi):
    """Another augmentation than declared: noise in the second half of the training."""

    name = "cheat_late_noise"

    def training_loss(self, batch, stage, progress):
        noise = torch.randn_like(batch.images) if progress.stage >= 0.5 else 0.0
        return super().training_loss(Batch(batch.images + noise, batch.labels, batch.unlabelled), stage, progress)


class InPlace(Semi):
    """Another augmentation than declared: changes the engine's own tensors."""

    name = "cheat_in_place"

    def training_loss(self, batch, stage, progress):
        batch.images.mul_(2 / 3)
        return super().training_loss(batch, stage, progress)


class Pastes(Semi):
    """Another augmentation than declared: cutmix, declares that it alters."""

    name = "cheat_pastes"
    augmentation: tuple[Alteration, ...] = ("altered",)

    def changed(self, images):
        mixed = images.clone()
        mixed[:, :, :16] = images.roll(-1, dims=0)[:, :, :16]
        return mixed


class Boasts(Semi):
    """Another augmentation than declared: declares mixing and does nothing."""

    name = "cheat_boasts"
    augmentation: tuple[Alteration, ...] = ("mixed",)
