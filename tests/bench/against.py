"""`make bench AGAINST=REF`: seconds per training step, beside those of another commit on the same machine.

    python -m tests.bench --against v0.1.0 [--only ua_mt/train] [--size 96 96]

Every method and stage that both trees have runs `tests.bench.alone` of its own tree, in fresh processes with one thread
each. A round is A B B A, the reference first. Shown are mean seconds (of medians over steps), their ratio, above 1
where the working tree is faster, and the lowest and highest ratio of two neighbours.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from harness.train.environment import cpu_model
from tests.bench.trees import checkout, copy_code, environment_of

LIST_STAGES = """
import json, sys, torch
from tests.bench.workload import entries
print(json.dumps(list(entries((16,) * int(sys.argv[1]), 2, torch.device("cpu")))))
"""


@dataclass(frozen=True, slots=True)
class Tree:
    """Code that is measured, the variables to start it with, and options that every step of it gets."""

    folder: Path
    environment: dict[str, str]
    options: tuple[str, ...]

    def output(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        return done.stdout.splitlines()[-1]

    def stages(self, dimension: int) -> list[str]:
        names: list[str] = json.loads(self.output("-c", LIST_STAGES, str(dimension)))
        return names

    def seconds(self, name: str) -> float:
        """Of one step of a method/stage, the median of a fresh process."""
        return float(json.loads(self.output("-m", "tests.bench.alone", name, *self.options))["seconds"])


def line(name: str, reference: Sequence[float], current: Sequence[float]) -> str:
    ratios = [old / new for old, new in zip(reference, current, strict=True)]
    ratio = mean(reference) / mean(current)
    return (
        f"  {name:32} {mean(reference):8.4f} s -> {mean(current):8.4f} s"
        f"  {ratio:5.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def measured_line(reference: Tree, current: Tree, name: str, rounds: int) -> str:
    old, new = [], []
    for _ in range(rounds):
        old.append(reference.seconds(name))
        new += [current.seconds(name), current.seconds(name)]
        old.append(reference.seconds(name))
    return line(name, old, new)


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", required=True, metavar="REF", help="the commit to compare with")
    parser.add_argument("--only", nargs="+", metavar="METHOD/STAGE", help="default: all that both trees have")
    parser.add_argument("--size", type=int, nargs="+", default=[96, 96], help="of an image, all sides")
    parser.add_argument("--batch", type=int, default=8, help="images per step, both streams together")
    parser.add_argument("--rounds", type=int, default=1, help="of A B B A")
    parser.add_argument("--steps", type=int, default=5, help="measured steps of each process")
    return parser


def main() -> int:
    parser = options()
    asked = parser.parse_args()
    step_options = ("--size", *map(str, asked.size), "--batch", str(asked.batch), "--steps", str(asked.steps))
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as name:
        folder = Path(name)
        try:
            with checkout(asked.against, folder / "reference") as other:
                trees = other, copy_code(folder / "working-tree")
                reference, current = (Tree(tree, environment_of(tree), step_options) for tree in trees)
                there = set(reference.stages(len(asked.size)))
                names = [name for name in current.stages(len(asked.size)) if name in there]
                if absent := set(asked.only or ()) - set(names):
                    parser.error(f"--only {' '.join(sorted(absent))}: both trees have {', '.join(names)}")
                shape = f"{' x '.join(map(str, asked.size))}, batch {asked.batch}, one thread of {cpu_model()}"
                print(f"seconds per step, {shape}; {asked.against} -> working tree")
                for each in asked.only or names:
                    print(measured_line(reference, current, each, asked.rounds), flush=True)
        except (subprocess.CalledProcessError, RuntimeError) as error:
            print(f"not measured: {error}", file=sys.stderr)
            return 1
    return 0
