"""Whole-volume inference against the field's plain loop, in turns in one run: speed, memory, and whether they agree.

    python -m tests.bench.windows_bench [--data DIR] [--size 112 112 80] [--stride 18 18 4] [--batch 4] [--volumes 1]

DIR: LA in UA-MT's layout (*/ID/mri_norm2.h5); default: $HARNESS_DATA or its folder LA; noise in the shape of a scan
where there is none. The plain loop (`tests.evaluation.plain`) takes one window at a time and sums on the host. The
network is the floor's, trained for a few steps on patches of the first scan, so that its label maps are no noise.
Seconds are the process's on a CPU, wall seconds on CUDA. The peak is what inference adds to the memory that is there
before. Exit code 1 if scores differ by more than 1e-5 or label maps at all.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness.api.dataset import Case, Task
from harness.api.method import Stage
from harness.api.params import OptimiserSettings
from harness.api.progress import Progress
from harness.data.volumes import Volumes
from harness.evaluation.predict import inference, window_scores
from harness.records.schema import Engine, Preprocessing
from harness.suite.registry import load_method
from harness.train.environment import cpu_model, peak_memory_bytes, pick_device, prepare_device, reset_peak_memory
from tests.data.preprocessed import preprocessed
from tests.evaluation.plain import plain_scores, windows

TOLERANCE = 1e-5
CLASSES = ("background", "LA")
SHAPE = (183, 140, 88)
"""Of the stand-in for a scan: that of the first one."""

Image = NDArray[np.float32]


def scans(root: Path | None, count: int) -> list[Case]:
    """The first test volumes of the folder, or noise."""
    for folder in () if root is None else (root, root / "LA"):
        if any(folder.glob("*/*/mri_norm2.h5")):
            names = (folder / "test.list").read_text(encoding="utf-8").split()[:count]
            return [read(next(folder.glob(f"*/{name}/mri_norm2.h5")), name) for name in names]
    rng = np.random.default_rng(0)
    image = rng.standard_normal(SHAPE).astype(np.float32)
    return [Case("noise", "noise", "test", image, (image > 1).astype(np.uint8))]


def read(path: Path, name: str) -> Case:
    """One volume."""
    with h5py.File(path, locking=False) as file:
        return Case(name, name, "test", file["image"][:], np.asarray(file["label"][:], np.uint8))


def task_of(asked: argparse.Namespace) -> Task:
    """What the network segments."""
    return Task("la", 3, 1, CLASSES, tuple(asked.size))


def trained(cases: Sequence[Case], task: Task, steps: int, device: torch.device) -> nn.Module:
    """The baseline's network after so many steps on the first volume."""
    kind = load_method("supervised")
    torch.manual_seed(0)
    method = kind.build(task, kind.Params()).to(device)
    optimiser = method.optimiser(method.stages[0], OptimiserSettings(learning_rate=0.05))
    first = cases[0]
    data = Volumes.load(preprocessed([first], Preprocessing(size=task.size)), [first.patient], device)
    sampler = data.sampler(0, augmentation="weak")
    stage: Stage = method.stages[0]
    for step in range(steps):
        optimiser.zero_grad()
        method.training_loss(sampler.next(method.batches(stage, 2)), stage, Progress(0.0, 0.0, step)).total.backward()
        optimiser.step()
    return method.predictor


def measured(function: Callable[[], Image], device: torch.device) -> tuple[Image, float, int]:
    """What a function returns, its seconds, and the bytes that it added at the most."""
    reset_peak_memory(device)
    before = peak_memory_bytes(device)
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    started = clock()
    found = function()
    return found, clock() - started, peak_memory_bytes(device) - before


def compare(network: nn.Module, case: Case, asked: argparse.Namespace, device: torch.device) -> bool:
    """Print what both took on one volume; whether they agree."""
    size, stride = tuple(asked.size), tuple(asked.stride)
    image = torch.from_numpy(case.image).to(device)[None]
    task, engine = task_of(asked), Engine(batch_size=asked.batch)

    def ours() -> Image:
        with inference(network, device):
            (scores,) = window_scores(network, [image], task, stride, engine)
            return np.asarray(scores.cpu().numpy())

    def plain() -> Image:
        return plain_scores(network.eval(), case.image, size, stride)

    scores, our_seconds, our_bytes = measured(ours, device)
    expected, plain_seconds, plain_bytes = measured(plain, device)
    labels = scores.argmax(axis=0)
    error, wrong = float(np.abs(scores - expected).max()), int(np.count_nonzero(labels != expected.argmax(axis=0)))
    shape = case.image.shape
    count = sum(1 for _ in windows([max(pair) for pair in zip(shape, size, strict=True)], size, stride))
    slower = f"{plain_seconds / our_seconds:.2f} times as long"
    print(f"  {case.id}, {' x '.join(map(str, shape))}, {count} windows")
    print(f"    ours  {our_seconds:8.1f} s {our_bytes / 1e6:8.0f} MB")
    print(f"    plain {plain_seconds:8.1f} s {plain_bytes / 1e6:8.0f} MB   {slower}")
    share = f"{np.mean(labels == 1):.1%} are foreground"
    print(f"    scores differ by {error:.1e}, {wrong} of {labels.size:,} labels; {share}", flush=True)
    return error <= TOLERANCE and wrong == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("HARNESS_DATA"), help="LA in UA-MT's layout")
    parser.add_argument("--size", type=int, nargs=3, default=(112, 112, 80), help="of a window")
    parser.add_argument("--stride", type=int, nargs=3, default=(18, 18, 4))
    parser.add_argument("--batch", type=int, default=4, help="windows at once, at most")
    parser.add_argument("--volumes", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5, help="training steps before")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    device = pick_device()
    prepare_device(device, Engine())
    torch.set_num_threads(asked.threads)
    cases = scans(asked.data, asked.volumes)
    network = trained(cases, task_of(asked), asked.steps, device)
    with inference(network, device):  # a first pass loads libraries outside the clock
        network(torch.zeros(1, 1, *asked.size, device=device))
    where = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{asked.threads} thread(s) of {cpu_model()}"
    )
    print(f"whole volumes in windows of {asked.size} at steps of {asked.stride}, up to {asked.batch} at once, {where}")
    return 0 if all(compare(network, case, asked, device) for case in cases) else 1


if __name__ == "__main__":
    sys.exit(main())
