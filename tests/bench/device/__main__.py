"""The benchmark of a GPU: each part prints rows of JSON as they are measured, so that a kill loses none of them.

    timeout 5m python -m tests.bench.device speed --size 112 112 80 --batch 4 --steps 5 >>rows.jsonl

    correct  losses and weights after a few steps on CPU and device: same batches, same draws, no dropout
    speed    seconds of a step as the host takes it and replayed, and peak memory

Seconds are of many steps in a row, nothing waited for in between, as training takes them: the median of three rows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import get_args

import torch

from harness.records.schema import Engine
from harness.train.environment import pick_device, prepare_device
from tests.bench.device.agreement import correct
from tests.bench.device.common import Asked, Row
from tests.bench.device.rates import speed
from tests.bench.workload import Precision, entries

PARTS: Mapping[str, Callable[[Asked], Iterator[Row]]] = {function.__name__: function for function in (correct, speed)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows of a part as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--size", type=int, nargs="+", default=[256, 256])
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--only", nargs="+", metavar="METHOD/STAGE")
    parser.add_argument("--precision", nargs="+", choices=get_args(Precision), default=get_args(Precision))
    given = parser.parse_args(arguments)
    device = pick_device()
    prepare_device(device, Engine())
    names = given.only or entries((16,) * len(given.size), 2, torch.device("cpu"))
    asked = Asked(device, tuple(given.size), given.batch, given.steps, tuple(names), tuple(given.precision))
    for row in PARTS[given.part](asked):
        print(json.dumps({"kind": given.part, **row}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
