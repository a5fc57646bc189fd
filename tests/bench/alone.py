"""One method and stage in a process of its own: seconds of its steps, and the peak of its memory.

python -m tests.bench.alone action/local --size 112 112 80 --batch 4 --steps 1
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from harness.records.schema import Engine
from harness.train.environment import pick_device, prepare_device
from tests.bench.workload import Precision, clock_for, entries, measure, warm_up
from tests.support import command_environment

KILOBYTE = 1024


@dataclass(frozen=True, slots=True)
class Alone:
    """What the process saw.

    seconds:    per step, the median.
    peak_bytes: the most memory at a time; idle_bytes: of it, what was there before the first state.
    """

    seconds: float
    peak_bytes: int
    idle_bytes: int


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process held so far: on CUDA what torch allocated, else resident, as Linux tells.

    Not `getrusage`: across a fork it goes on from the parent's.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * KILOBYTE


def measure_alone(
    name: str,
    size: Sequence[int],
    batch_size: int,
    precision: Precision = "float32",
    threads: int = 1,
    steps: int = 1,
    warm_up_steps: int | None = None,
) -> Alone:
    """Start the process for `method/stage` and wait for it."""
    numbers = {"--batch": batch_size, "--threads": threads, "--steps": steps, "--warm-up": warm_up_steps}
    options = [str(one) for pair in numbers.items() if pair[1] is not None for one in pair]
    where = ["--size", *map(str, size), "--precision", precision]
    command = [sys.executable, "-m", "tests.bench.alone", name, *where, *options]
    done = subprocess.run(command, env=command_environment(), stdout=subprocess.PIPE, text=True, check=True)
    return Alone(**json.loads(done.stdout.splitlines()[-1]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print an `Alone` as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="method/stage")
    parser.add_argument("--size", type=int, nargs="+", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--warm-up", type=int)
    parser.add_argument("--precision", default="float32")
    asked = parser.parse_args(arguments)
    device = pick_device()
    prepare_device(device, Engine())
    torch.set_num_threads(asked.threads)
    idle = peak_bytes(device)
    state = entries(tuple(asked.size), asked.batch, device, asked.precision, only=asked.name)
    clock = clock_for(device, asked.threads)
    seconds = measure(state, asked.steps, warm_up(device, asked.warm_up), clock)[asked.name]
    print(json.dumps(asdict(Alone(seconds, peak_bytes(device), idle))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
