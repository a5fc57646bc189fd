from collections.abc import Iterator, Mapping, Sequence

from tests.bench.device.planner import Row


def markdown(rows: Sequence[Row], outcomes: Mapping[str, str]) -> str:
    """A table of each kind of rows, and what became of the parts."""
    compared = [row for row in rows if row["kind"] in {"correct", "captured", "guard"}]
    tables: dict[str, Sequence[Row]] = {
        "Rates of the device": [row for row in rows if row["kind"] == "ceilings"],
        "Same numbers, no waiting": [{**row, "agree": row.get("agree", row.get("says", ""))} for row in compared],
        "Steps a second": list(speeds(rows)),
        "Full-size runs": [row for row in rows if row["kind"] == "run"],
        "Parts": [{"part": name, "took": outcome} for name, outcome in outcomes.items()],
    }
    return "\n".join(["# Benchmark of a GPU\n", *(line for title in tables for line in table(title, tables[title]))])


def table(title: str, rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        names = [*dict.fromkeys(name for row in rows for name in row if name not in {"kind", "says"})]
        yield f"## {title}\n"
        yield "| " + " | ".join(names) + " |\n|" + "---|" * len(names)
        for row in rows:
            values = (row.get(name, "") for name in names)
            yield "| " + " | ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values) + " |"
        yield ""


def speeds(rows: Sequence[Row]) -> Iterator[Row]:
    """Ways to take a step: its rate, that over the reference's in float32, and the share of the roofline.

    A roofline is of the operations and bytes that the host's step counts.
    """
    chosen = [row for row in rows if row["kind"] in {"speed", "reference"}]
    before = {(row.get("name"), row["size"]): row.get("seconds") for row in chosen if row["how"] == "reference"}
    work = {(row["name"], row["size"], row["precision"]): row for row in chosen if "flops" in row}
    flops = {row["precision"]: row["flops_a_second"] for row in rows if "flops_a_second" in row}
    moved = [row["bytes_a_second"] for row in rows if "bytes_a_second" in row]
    for row in chosen:
        place = row.get("name"), row["size"]
        shown = {name: row.get(name, "") for name in ("name", "size", "batch", "precision", "how")}
        if seconds := row.get("seconds"):
            shown["steps a second"] = 1 / seconds
            if slow := before.get(place):
                shown["over reference"] = slow / seconds
            if moved and row["precision"] in flops and (counted := work.get((*place, row["precision"]))):
                least = max(counted["flops"] / flops[row["precision"]], counted["bytes"] / moved[0])
                shown["of the roofline"] = least / seconds
        yield shown | {name: row[name] for name in ("peak_bytes", "compile_seconds", "error") if name in row}
