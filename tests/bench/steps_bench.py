"""Seconds per training step of every method and stage, beside the supervised step of the same run.

    python -m tests.bench.steps_bench [--size 96] [--size 256] [--batch 8] [--threads 2] [--steps 5]
    python -m tests.bench.steps_bench --dimension 3 --size 112 112 80 --batch 4 --steps 1 --warm-up 0

Random images stand for scans: the cost of a step does not depend on what they show. Methods take turns, step by step,
so that a machine whose speed drifts slows all of them alike; the median is printed: of the thread's CPU seconds on one
thread, of wall seconds on several, of the device's on CUDA.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

import torch

from harness.records.schema import Engine
from harness.train.environment import cpu_model, pick_device, prepare_device
from tests.bench.workload import Precision, Size, clock_for, entries, measure, warm_up

SIZES: Mapping[int, tuple[Size, ...]] = {2: ((96, 96), (128, 128), (256, 256)), 3: ((48, 48, 16),)}
SUPERVISED = "supervised/train"


def line(name: str, seconds: float, supervised: float) -> str:
    """A method and stage of a table: seconds, steps a second, ratio to the supervised step."""
    return f"  {name:24} {seconds:9.4f} s {1 / seconds:8.2f} /s {seconds / supervised:6.2f} x supervised"


def table(size: Size, precision: Precision, asked: argparse.Namespace, device: torch.device) -> Iterator[str]:
    """Lines of one table."""
    clock = clock_for(device, asked.threads)
    states = entries(size, asked.batch, device, precision)
    medians = measure(states, asked.steps, warm_up(device, asked.warm_up), clock)
    for name, seconds in medians.items():
        yield line(name, seconds, medians[SUPERVISED])


def options() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, choices=sorted(SIZES), default=2, help="2: slices, 3: patches")
    parser.add_argument(
        "--size", type=int, nargs="+", action="append", help="of an image: one side, or all of them; repeatable"
    )
    parser.add_argument("--batch", type=int, default=8, help="images per step, both streams together")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; a scored run has one")
    parser.add_argument("--steps", type=int, default=5, help="measured steps per method and stage")
    parser.add_argument("--warm-up", type=int, help="steps before them that do not count (default 1; CUDA: 3)")
    parser.add_argument(
        "--precision", action="append", choices=get_args(Precision), help="repeatable (default float32; CUDA: both)"
    )
    return parser


def sizes(asked: argparse.Namespace) -> tuple[Size, ...]:
    """Sizes of images; one number stands for all sides. Raises `SystemExit` where the numbers are not as many."""
    found = [tuple(one) if len(one) > 1 else (one[0],) * asked.dimension for one in asked.size or ()]
    wrong = [one for one in found if len(one) != asked.dimension]
    if wrong:
        raise SystemExit(f"error: --size {' '.join(map(str, wrong[0]))} has not {asked.dimension} sides (--dimension)")
    return tuple(found) or SIZES[asked.dimension]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one table per size and precision, line by line."""
    asked = options().parse_args(arguments)
    device = pick_device()
    prepare_device(device, Engine())
    torch.set_num_threads(asked.threads)
    on_cuda = device.type == "cuda"
    where = torch.cuda.get_device_name(device) if on_cuda else f"{asked.threads} thread(s) of {cpu_model()}"
    for size in sizes(asked):
        for precision in asked.precision or (get_args(Precision) if on_cuda else ["float32"]):
            shape = " x ".join(map(str, size))
            what = f"{shape}, batch {asked.batch}, {precision}, {where}, torch {torch.__version__}"
            print(f"\nseconds per step, {what}", flush=True)
            for shown in table(size, precision, asked, device):
                print(shown, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
