"""The rows of the benchmark as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from tests.bench.device.planner import Row

WAYS = ("host", "graph")
"""How steps were taken, in the order of columns."""


def markdown(rows: Sequence[Row], outcomes: Mapping[str, str]) -> str:
    """All tables, and what became of each part."""
    parts = [*device_lines(rows), *agreement(rows), *speeds(rows)]
    ended = [f"| {name} | {outcome} |" for name, outcome in outcomes.items()]
    return "\n".join([*parts, "## Parts", "", *header("part", "took"), *ended, ""])


def header(*names: str) -> list[str]:
    """Two lines that begin a table."""
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


def of_kind(rows: Sequence[Row], kind: str) -> list[Row]:
    """Rows of a part."""
    return [row for row in rows if row.get("kind") == kind]


def device_lines(rows: Sequence[Row]) -> Iterator[str]:
    """What the device reaches."""
    yield from ("# Benchmark of a GPU", "")
    for row in of_kind(rows, "ceilings"):
        if "flops_a_second" in row:
            rate = f"{row['flops_a_second'] / 1e12:.1f} TFLOP/s {row['precision']}"
            yield f"- {row['device']}, torch {row['torch']}: {rate}"
        else:
            yield f"- {row['device']}: {row['bytes_a_second'] / 1e12:.2f} TB/s, bytes read and written"
    yield ""


def agreement(rows: Sequence[Row]) -> Iterator[str]:
    """Differences from the CPU."""
    chosen = of_kind(rows, "correct")
    if not chosen:
        return
    yield from ("## Same numbers as the CPU", "")
    yield from header("method/stage", "size", "losses differ", "weights differ", "says")
    for row in chosen:
        differences = [f"{row[name]:.1e}" if name in row else "" for name in ("loss", "weights")]
        says = row.get("error") or ("agrees" if row["agree"] else "DIFFERS")
        yield "| " + " | ".join([row["name"], row["size"], *differences, says]) + " |"
    yield ""


def speeds(rows: Sequence[Row]) -> Iterator[str]:
    """Steps a second however they were taken, by size and precision."""
    chosen = of_kind(rows, "speed")
    if not chosen:
        return
    frame = pd.DataFrame(chosen)
    for (size, batch), group in frame.groupby(["size", "batch"], sort=False):
        for precision, steps in group.groupby("precision", sort=False):
            yield from (f"## Steps a second, {size}, batch {batch}, {precision}", "")
            yield from header(
                "method/stage", "host", "graph", "graph over host", "peak GB of host, graph", "share of the roofline",
                "says",
            )  # fmt: skip
            for name, ways in steps.groupby("name", sort=False):
                by_way: dict[str, Row] = {row["how"]: dict(row.dropna()) for _, row in ways.iterrows()}
                yield line(str(name), by_way, limits(rows, str(precision)))
            yield ""


def limits(rows: Sequence[Row], precision: str) -> tuple[float, float] | None:
    """Operations and bytes a second of the device; None where they were not measured."""
    ceilings = of_kind(rows, "ceilings")
    flops = [row["flops_a_second"] for row in ceilings if row.get("precision") == precision]
    moved = [row["bytes_a_second"] for row in ceilings if "bytes_a_second" in row]
    return (flops[0], moved[0]) if flops and moved else None


def line(name: str, ways: Mapping[str, Row], limit: tuple[float, float] | None) -> str:
    """A method/stage: the roofline's share is that of the fastest way, with the operations and bytes of the host's."""
    seconds = {way: row["seconds"] for way, row in ways.items() if "seconds" in row}
    rates = ["" if value is None else f"{1 / value:.1f}" for value in map(seconds.get, WAYS)]
    best = min(seconds.values(), default=None)
    ratio = f"{seconds['host'] / seconds['graph']:.2f}" if len(seconds) == len(WAYS) else ""
    peaks = ", ".join(f"{ways[way]['peak_bytes'] / 1e9:.2f}" for way in WAYS if "peak_bytes" in ways.get(way, {}))
    work, share = ways.get("host", {}), ""
    if limit and best and "flops" in work:
        share = f"{max(work['flops'] / limit[0], work['bytes'] / limit[1]) / best:.0%}"
    says = "; ".join(f"{way}: {row['error']}" for way, row in ways.items() if "error" in row)
    return "| " + " | ".join([name, *rates, ratio, peaks, share, says]) + " |"
