"""The benchmark of a GPU as one command, finished inside its minutes; on a bare machine with pydantic and click.

    python -m tests.bench.device_bench --minutes 11 --out DIR [--parts speed]

Each part (`tests.bench.device.parts`) is a process of its own. DIR gets results.json (all rows) and
table.md, written anew after each row. A part that does not fit into the minutes left is listed. --small tries it where
there is no GPU. Steps of another commit: `make bench AGAINST=REF`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.bench.device.planner import Part, Planner, Row
from tests.bench.device.table import markdown

PARTS = ("ceilings", "correct", "speed")
FULL = {"2D": ("256 256", 24, 10), "3D": ("112 112 80", 4, 5)}
"""Sides, batch and steps in a row."""
FEW = {"2D": ("64 64", 4, 3), "3D": ("32 32 16", 4, 3)}
SMALL = {"2D": ("32 32", 4, 1), "3D": ("32 32 16", 4, 1)}
EXPECTED_SECONDS = {
    "ceilings": 20.0, "correct 2D": 60.0, "correct 3D": 60.0, "speed 2D": 150.0, "speed 3D": 200.0,
}  # fmt: skip
"""Guesses, so that no part is begun that would not end; what a part took stands in the table."""


def parts(asked: argparse.Namespace) -> Iterator[Part]:
    """Everything, what matters most first."""
    full, few = (SMALL, SMALL) if asked.small else (FULL, FEW)
    yield part("ceilings", "ceilings", full["2D"])
    for dimension in ("2D", "3D"):
        yield part("correct", f"correct {dimension}", few[dimension])
        yield part("speed", f"speed {dimension}", full[dimension])


def part(kind: str, name: str, shape: tuple[str, int, int]) -> Part:
    """A part on images of a shape."""
    size, batch, steps = shape
    where = ("--size", *size.split(), "--batch", str(batch), "--steps", str(steps))
    command = (sys.executable, "-m", "tests.bench.device.parts", kind, *where)
    return Part(name, command, EXPECTED_SECONDS[name])


def write(out: Path, rows: Sequence[Row], outcomes: Mapping[str, str]) -> None:
    """Both files, each whole at any time."""
    texts = {
        "results.json": json.dumps({"rows": rows, "parts": outcomes}, indent=1),
        "table.md": markdown(rows, outcomes),
    }
    for name, text in texts.items():
        aside = out / f".{name}"
        aside.write_text(text, encoding="utf-8")
        aside.replace(out / name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table; 1 if a part failed or numbers differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="in all; what does not fit is left out")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, made where it is not there")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--small", action="store_true", help="images of 32 x 32 and one step")
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    planner = Planner(60 * asked.minutes, lambda rows, outcomes: write(asked.out, rows, outcomes))
    for each in parts(asked):
        if each.name.split()[0] in asked.parts:
            planner.run(each)
    print((asked.out / "table.md").read_text(encoding="utf-8"))
    failed = any("exit code" in outcome for outcome in planner.outcomes.values())
    return int(failed or any("error" in row or row.get("agree") is False for row in planner.rows))


if __name__ == "__main__":
    sys.exit(main())
