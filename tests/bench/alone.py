"""One method and stage in a process of its own: seconds of its steps.

python -m tests.bench.alone action/local --size 112 112 80 --batch 4 --steps 1
"""

import argparse
import json
import sys

import torch

from harness.records.schema import Engine
from harness.train.clock import clock_of
from harness.train.environment import pick_device, prepare_device
from tests.bench.workload import entries, measure, warm_up


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="method/stage")
    parser.add_argument("--size", type=int, nargs="+", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--warm-up", type=int)
    parser.add_argument("--precision", default="float32")
    asked = parser.parse_args()
    device = pick_device()
    prepare_device(device, Engine())
    torch.set_num_threads(1)
    state = entries(tuple(asked.size), asked.batch, device, asked.precision, only=asked.name)
    seconds = measure(state, asked.steps, warm_up(device, asked.warm_up), clock_of(device))[asked.name]
    print(json.dumps({"seconds": seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
