"""`make bench`: what the design promises, measured on the machine at hand; ratios come from one run, side by side."""

import sys
from collections.abc import Iterator

import torch

from harness.records.schema import Engine
from harness.train.clock import clock_of
from harness.train.environment import pick_device, prepare_device
from tests.bench import against
from tests.bench.workload import Size, entries, measure, warm_up


def steps(size: Size, batch: int, turns: int) -> Iterator[str]:
    """A line for each method and stage: seconds of a step, and how many supervised ones they are.

    Methods take turns, step by step, so that a machine whose speed drifts slows all of them alike.
    """
    device = pick_device()
    prepare_device(device, Engine())
    torch.set_num_threads(1)
    medians = measure(entries(size, batch, device), turns, warm_up(device), clock_of(device))
    for name, seconds in medians.items():
        yield f"  {name:24} {seconds:9.4f} s {seconds / medians['supervised/train']:6.2f} x supervised"


def main() -> int:
    if len(sys.argv) > 1:
        return against.main()
    print("seconds per step, 96 x 96, batch 8", *steps((96, 96), 8, 5), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
