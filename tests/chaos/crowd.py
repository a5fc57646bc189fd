"""A crowd: two drivers share a suite while forty readers look on. Each run is trained once, and every count adds up."""

import os
import re
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path

from harness.records.ledger import Ledger
from tests.chaos.process import call
from tests.train.tiny import write_suite

READERS, STARTS = 40, 20
COUNTED = re.compile(r"^(?:tiny:|all) +(\d+)( runs, [^;\n]*|(?: +\d+)+(?=  ))", re.MULTILINE)
"""What `status` and `plan` say of all runs: how many, and how many in each state."""


def try_crowd(seed: int, root: Path) -> tuple[list[str], list[str]]:
    """One case: how many commands read, and faults."""
    write_suite(root, {"tiny_staged": {}, "tiny_floor": {}}, seeds=[seed, seed + 1, seed + 2], budget={"steps": 24})
    for number in range(READERS + 2):
        (root / str(number)).mkdir()
    with get_context("fork").Pool(READERS + 2) as crowd:
        drivers = crowd.map_async(partial(drive, root), range(2), 1)
        readers = crowd.map_async(partial(read, root, os.getpid()), range(2, READERS + 2), 1)
        faults = [fault for own in drivers.get() for fault in own]
        (root / "over").touch()
        read_faults = readers.get()
    faults += [fault for _, own in read_faults for fault in own]
    for path in root.glob("runs/tiny/runs/*"):
        kinds = [line.kind for line in Ledger(path / "ledger.jsonl").lines()]
        if kinds.count("begin") != 1 or not (path / "result.json").exists():
            faults.append(f"{path} was not trained once: {kinds}")
    return ["two drivers", *["reader"] * sum(turns for turns, _ in read_faults)], faults


def drive(root: Path, number: int) -> list[str]:
    """Start a driver until all runs have ended; faults."""
    line = ("run", "--suite", root / "tiny.yaml", "--runs", root / "runs", "--no-track", "--workers", "2")
    for _ in range(STARTS):
        done = call(*line, cwd=root / str(number))
        if done.code != 75:
            break  # else others have some of the runs, or the leaderboard
    return [*done.faults(), *([f"a driver ends with {done}"] if done.code else [])]


def read(root: Path, parent: int, number: int) -> tuple[int, list[str]]:
    """Look at the suite in turns until it is over; how often, and faults."""
    os.nice(5)  # forty of them would leave the drivers nothing
    runs, most, faults = root / "runs", 0, list[str]()
    plan: tuple[str | Path, ...] = ("plan", "--suite", root / "tiny.yaml", "--runs", runs)
    lines = [plan, ("status", runs / "tiny"), ("leaderboard", runs / "tiny")]
    for turn in count():
        if (root / "over").exists() or os.getppid() != parent:
            break
        done = call(*lines[(number + turn) % len(lines)], cwd=root / str(number))
        faults += done.faults()
        said = COUNTED.findall(done.output)
        wrong = [total for total, states in said if int(total) != sum(map(int, re.findall(r"\d+", states)))]
        ended = [int(number) for number in re.findall(r"runs, (\d+) done", done.output)]
        faults += [f"after {most} runs: {done}"] if wrong or min(ended, default=most) < most else []
        most = max(ended, default=most)
    return turn, faults
