"""The benchmark of a GPU as one command, finished inside its minutes; on a bare machine with pydantic and click.

    python -m tests.bench.device_bench --minutes 11 --out DIR [--against-tree DIR] [--data DIR] [--parts speed runs]

Each part (`tests.bench.device.parts`) is a process of its own. DIR gets results.json (all rows), table.md, and of
full-size runs their suite and runs.zip; they are written anew after each row. A part that does not fit into the minutes
left is listed. --against-tree is another commit's checkout, whose steps are measured in the same go; --data are scans
of ACDC, without which there are no full-size runs. --small tries it where there is no GPU.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.records.files import write_text
from tests.bench.device import runs
from tests.bench.device.planner import Part, Planner, Row
from tests.bench.device.table import markdown

PARTS = ("ceilings", "correct", "captured", "guard", "speed", "reference", "runs")
FULL = {"2D": ("256 256", 24, 10), "3D": ("112 112 80", 4, 5)}
"""Sides, batch and steps in a row."""
FEW = {"2D": ("64 64", 4, 3), "3D": ("32 32 16", 4, 3)}
SMALL = {"2D": ("32 32", 4, 1), "3D": ("32 32 16", 4, 1)}
EXPECTED_SECONDS = {
    "ceilings": 20.0, "correct 2D": 60.0, "correct 3D": 60.0, "captured 2D": 45.0, "captured 3D": 45.0,
    "guard 2D": 40.0, "guard 3D": 40.0, "speed 2D": 150.0, "speed 3D": 200.0, "reference 2D": 60.0,
    "reference 3D": 80.0,
}  # fmt: skip
"""Guesses, so that no part is begun that would not end; what a part took stands in the table."""


def parts(asked: argparse.Namespace) -> Iterator[Part]:
    """Everything but full-size runs, what matters most first."""
    full, few = (SMALL, SMALL) if asked.small else (FULL, FEW)
    yield part("ceilings", full["2D"])
    for dimension in ("2D", "3D"):
        for kind in ("correct", "captured", "guard"):
            yield part(f"{kind} {dimension}", few[dimension])
        yield part(f"speed {dimension}", full[dimension])
        if asked.against_tree is not None:
            tree = ("--tree", str(asked.against_tree.resolve()), "--precision", "float32")
            yield part(f"reference {dimension}", full[dimension], *tree)


def part(name: str, shape: tuple[str, int, int], *options: str) -> Part:
    size, batch, steps = shape
    where = ("--size", *size.split(), "--batch", str(batch), "--steps", str(steps))
    command = (sys.executable, "-m", "tests.bench.device.parts", name.split(maxsplit=1)[0], *where, *options)
    return Part(name, command, EXPECTED_SECONDS[name])


def run_full_size(planner: Planner, data: Path, out: Path) -> None:
    """As many full-size runs as fit; they replay graphs where those were seen to train as the host does."""
    planner.run(runs.preparation(data))
    checks = [row for row in planner.rows if row.get("kind") == "captured"]
    seconds = runs.device_seconds(planner.left)
    compiled = bool(checks) and all(row.get("agree") for row in checks)
    suite = out / "device_bench.yaml"
    runs.write_suite(suite, seconds, compiled)
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:  # weights are too large for the results
        for each in runs.parts(suite, seconds, data, Path(folder)):
            planner.run(each)
            rows = runs.pack(Path(folder), out / "runs.zip")
            planner.rows[:] = [row for row in planner.rows if row.get("kind") != "run"] + list(rows)
            planner.write(planner.rows, planner.outcomes)


def write(out: Path, rows: Sequence[Row], outcomes: Mapping[str, str]) -> None:
    write_text(out / "results.json", json.dumps({"rows": rows, "parts": outcomes}, indent=1))
    write_text(out / "table.md", markdown(rows, outcomes))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="in all; what does not fit is left out")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, made where it is not there")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--against-tree", type=Path, help="checkout of another commit")
    parser.add_argument("--data", type=Path, help="scans of ACDC for full-size runs")
    parser.add_argument("--small", action="store_true", help="images of 32 x 32 and one step")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    planner = Planner(60 * asked.minutes, lambda rows, outcomes: write(asked.out, rows, outcomes))
    for each in parts(asked):
        if each.name.split()[0] in asked.parts:
            planner.run(each)
    if "runs" in asked.parts and asked.data is not None:
        run_full_size(planner, asked.data, asked.out)
    print((asked.out / "table.md").read_text(encoding="utf-8"))
    failed = any("exit code" in outcome for outcome in planner.outcomes.values())
    return int(failed or any("error" in row or row.get("agree") is False for row in planner.rows))


if __name__ == "__main__":
    sys.exit(main())
