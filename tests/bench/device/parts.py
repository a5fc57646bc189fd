"""What the benchmark of a GPU measures; each part prints rows of JSON: `python -m tests.bench.device.parts NAME ...`.

Seconds are of many steps in a row, nothing waited for in between, as training takes them: the median of three rows.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import get_args

import torch

from harness.records.schema import Engine
from harness.train.environment import pick_device, prepare_device
from tests.bench.device.agreement import captured, correct, guard
from tests.bench.device.common import Asked
from tests.bench.device.planner import Row
from tests.bench.device.rates import ceilings, reference, speed
from tests.bench.workload import Precision, entries

PARTS: Mapping[str, Callable[[Asked], Iterator[Row]]] = {
    function.__name__: function for function in (ceilings, correct, captured, guard, speed, reference)
}


def main() -> int:
    kinds = "\n".join(f"{name}: {function.__doc__}" for name, function in PARTS.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=kinds, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--size", type=int, nargs="+", default=[256, 256])
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--only", nargs="+", metavar="METHOD/STAGE")
    parser.add_argument("--precision", nargs="+", choices=get_args(Precision), default=get_args(Precision))
    parser.add_argument("--tree", type=Path)
    given = parser.parse_args()
    device = pick_device()
    prepare_device(device, Engine())
    names = given.only or entries((16,) * len(given.size), 2, torch.device("cpu"))
    asked = Asked(device, tuple(given.size), given.batch, given.steps, tuple(names), tuple(given.precision), given.tree)
    for row in PARTS[given.part](asked):
        print(json.dumps({"kind": given.part, **row}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
