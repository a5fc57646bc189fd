"""The rows of the benchmark as tables for people."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from tests.bench.device.planner import Row

WAYS = ("reference", "host", "graph", "fused graph")
"""How steps were taken, in the order of columns."""


def markdown(rows: Sequence[Row], outcomes: Mapping[str, str]) -> str:
    parts = [*device_lines(rows), *agreement(rows), *speeds(rows), *runs(rows)]
    ended = [f"| {name} | {outcome} |" for name, outcome in outcomes.items()]
    return "\n".join([*parts, "## Parts", "", *header("part", "took"), *ended, ""])


def header(*names: str) -> list[str]:
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


def of_kind(rows: Sequence[Row], *kinds: str) -> list[Row]:
    return [row for row in rows if row.get("kind") in kinds]


def device_lines(rows: Sequence[Row]) -> Iterator[str]:
    yield from ("# Benchmark of a GPU", "")
    for row in of_kind(rows, "ceilings"):
        if "flops_a_second" in row:
            rate = f"{row['flops_a_second'] / 1e12:.1f} TFLOP/s {row['precision']}"
            yield f"- {row['device']}, torch {row['torch']}: {rate}"
        else:
            yield f"- {row['device']}: {row['bytes_a_second'] / 1e12:.2f} TB/s, bytes read and written"
    yield ""


def agreement(rows: Sequence[Row]) -> Iterator[str]:
    """Differences from the CPU and from steps that the host takes, and whether a step waits."""
    chosen = of_kind(rows, "correct", "captured", "guard")
    if not chosen:
        return
    yield from ("## Same numbers, no waiting", "")
    yield from header("part", "method/stage", "size", "precision", "losses differ", "weights differ", "says")
    for row in chosen:
        differences = [f"{row[name]:.1e}" if name in row else "" for name in ("loss", "weights")]
        says = row.get("error") or row.get("says") or ("agrees" if row["agree"] else "DIFFERS")
        cells = [row["kind"], row["name"], row["size"], row.get("precision", "float32"), *differences, says]
        yield "| " + " | ".join(cells) + " |"
    yield ""


def speeds(rows: Sequence[Row]) -> Iterator[str]:
    """Steps a second however they were taken, by size and precision; a reference has its own precision, float32."""
    chosen = of_kind(rows, "speed", "fused", "reference")
    if not chosen:
        return
    frame = pd.DataFrame(chosen)
    for (size, batch), group in frame.groupby(["size", "batch"], sort=False):
        before = {row["name"]: row.get("seconds") for _, row in group[group["how"] == "reference"].iterrows()}
        for precision, steps in group[group["how"] != "reference"].groupby("precision", sort=False):
            yield from (f"## Steps a second, {size}, batch {batch}, {precision}", "")
            yield from header(
                "method/stage", "reference float32", "host", "graph", "fused graph", "best over reference",
                "peak GB of host, graph", "share of the roofline", "says",
            )  # fmt: skip
            for name, ways in steps.groupby("name", sort=False):
                by_way: dict[str, Row] = {row["how"]: dict(row.dropna()) for _, row in ways.iterrows()}
                yield line(str(name), before.get(str(name)), by_way, limits(rows, str(precision)))
            yield ""


def limits(rows: Sequence[Row], precision: str) -> tuple[float, float] | None:
    """Operations and bytes a second of the device; None where they were not measured."""
    ceilings = of_kind(rows, "ceilings")
    flops = [row["flops_a_second"] for row in ceilings if row.get("precision") == precision]
    moved = [row["bytes_a_second"] for row in ceilings if "bytes_a_second" in row]
    return (flops[0], moved[0]) if flops and moved else None


def line(name: str, before: float | None, ways: Mapping[str, Row], limit: tuple[float, float] | None) -> str:
    """A method/stage: the roofline's share is that of the fastest way, with the operations and bytes of the host's."""
    seconds = {way: row["seconds"] for way, row in ways.items() if "seconds" in row}
    rates = ["" if value is None else f"{1 / value:.1f}" for value in (before, *map(seconds.get, WAYS[1:]))]
    best = min(seconds.values(), default=None)
    ratio = f"{before / best:.2f}" if before and best else ""
    peaks = ", ".join(f"{ways[way]['peak_bytes'] / 1e9:.2f}" for way in WAYS[1:3] if "peak_bytes" in ways.get(way, {}))
    work, share = ways.get("host", {}), ""
    if limit and best and "flops" in work:
        share = f"{max(work['flops'] / limit[0], work['bytes'] / limit[1]) / best:.0%}"
    says = "; ".join(f"{way}: {row['error']}" for way, row in ways.items() if "error" in row)
    return "| " + " | ".join([name, *rates, ratio, peaks, share, says]) + " |"


def runs(rows: Sequence[Row]) -> Iterator[str]:
    chosen = of_kind(rows, "run")
    if not chosen:
        return
    yield from ("## Full-size runs", "")
    yield from header("run", "status", "steps", "device-seconds", "mean test Dice")
    for row in chosen:
        dice = "" if row["dice"] is None else f"{row['dice']:.4f}"
        yield f"| {row['name']} | {row['status']} | {row['steps']} | {row['device_seconds']:.1f} | {dice} |"
    yield ""
