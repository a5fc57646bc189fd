"""Tables that verbs print: headers, rows, and the alignment of each column."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api.errors import HarnessError
from harness.records.schema import Budget

if TYPE_CHECKING:
    from harness.api.dataset import Dataset
    from harness.execution.catalogue import HyperCard, MethodCard
    from harness.execution.dry_run import DryRun
    from harness.records.accounts import AllocationAccount, MethodAccount, Seconds
    from harness.records.status import RunStatus, State, SuiteStatus
    from harness.suite.plan import Asked

Row = Sequence[str]
Printed = tuple[Row, list[Row], str]


def print_table(headers: Row, rows: Sequence[Row], align: str) -> None:
    """A table on standard output, columns two spaces apart, never wrapped; align: 'l' or 'r' per column."""
    lines = [headers, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    for line in lines:
        cells = [
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(line, widths, align, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def duration(seconds: float) -> str:
    """0:52:30, to the second; days in words."""
    return str(timedelta(seconds=round(seconds)))


def budget_text(budget: Budget, runs: int) -> str:
    """What so many runs may spend together: exact, and device time also as h:mm:ss."""
    if budget.steps is not None:
        return f"{runs * budget.steps} steps"
    return f"{runs * budget.amount:.0f} s = {duration(runs * budget.amount)}"


def plan_table(dry_run: DryRun) -> Printed:
    """A row per method, of the search and of the finals, and a last one for all: runs, their states, budget."""
    from harness.execution.dry_run import used_states

    states = used_states(dry_run)
    asked = dry_run.plan.asked()
    searched = any(one.role == "search" for one in asked)
    rows: list[Row] = []
    for role, method in dict.fromkeys((one.role, one.row) for one in asked):
        own = [one for one in asked if (one.role, one.row) == (role, method)]
        labelled = _joined(["all" if one.labelled is None else str(one.labelled) for one in own])
        subsets, seeds = _joined([str(one.subset) for one in own]), _joined([str(one.seed) for one in own])
        head = (f"{method} ({role})" if searched else method, labelled, subsets, seeds, str(len(own)))
        budget = own[0].budget
        rows.append((*head, *_counts(dry_run, own, states), str(budget), budget_text(budget, len(own))))
    total = sum(one.budget.amount for one in asked)
    together = budget_text(dry_run.plan.budget.of(total), 1)
    rows.append(("all", "", "", "", str(len(asked)), *_counts(dry_run, asked, states), "", together))
    headers = ("method", "labelled", "subsets", "seeds", "runs", *states, "budget a run", "budget")
    return headers, rows, "llll" + "r" * (len(states) + 3)


def _counts(dry_run: DryRun, asked: Sequence[Asked], states: Sequence[State]) -> list[str]:
    found = [dry_run.state(one) for one in asked] if dry_run.states is not None else []
    return [str(found.count(state)) for state in states]


def plan_runs(dry_run: DryRun) -> Printed:
    """A row per training, in the order in which they run; what a search has yet to name has no id."""
    asked = dry_run.plan.asked()
    if dry_run.states is None:  # ids depend on the data, so they are unknown too
        return ("planned_run", "budget"), [(one.name, str(one.budget)) for one in asked], "ll"
    rows = [
        (one.name, "" if one.run is None else one.run.id[:10], dry_run.state(one), str(one.budget)) for one in asked
    ]
    return ("planned_run", "run", "state", "budget"), list(rows), "llll"


def status_table(status: SuiteStatus) -> Printed:
    """A row per run."""
    headers = ("planned_run", "state", "budget", "steps", "device s", "lost s", "attempts", "val. Dice", "note")
    return headers, [_status_row(str(planned_run), one) for planned_run, one in status.runs], "llrrrrrrl"


def _status_row(planned_run: str, one: RunStatus) -> Row:
    dice = "" if one.validation_dice is None else f"{one.validation_dice:.3f}"
    spent = one.spent
    seconds, lost = f"{spent.useful_device_seconds:.1f}", f"{spent.lost_device_seconds:.1f}"
    return (
        *(
            planned_run,
            one.state,
            f"{one.share:.1%}",
            str(spent.useful_steps),
            seconds,
            lost,
            str(spent.attempts),
            dice,
        ),
        one.note,
    )


def method_table(cards: Sequence[MethodCard]) -> Printed:
    """A row per method."""
    headers = ("method", "version", "shown", "training", "predictor", "file", "paper")
    rows: list[Row] = [
        (
            *(card.name, str(card.version), "ranked" if card.ranked else "reference"),
            *(f"{card.parameters_training:,}", f"{card.parameters_predictor:,}", card.origin, card.paper),
        )
        for card in cards
    ]
    return headers, rows, "lllrrll"


def hyper_table(cards: Sequence[HyperCard]) -> Printed:
    """A row per hyper-parameter of one method."""
    rows: list[Row] = [(card.name, card.default, card.bounds, card.search, card.doc) for card in cards]
    return ("parameter", "default", "bounds", "search", "what"), rows, "lllll"


def dataset_table(datasets: Sequence[Dataset]) -> Printed:
    """A row per dataset; patients of the training, validation and test split."""
    rows: list[Row] = [
        (
            *(one.name, str(one.version), f"{one.dimension}D", " ".join(one.classes[1:])),
            " / ".join(str(len(patients)) for patients in one.splits.values()),
            ", ".join(one.layouts) or "generated",
            one.track or "",
        )
        for one in datasets
    ]
    return ("dataset", "version", "kind", "classes", "train / val / test", "layouts", "track"), rows, "lllllll"


def cache_table(manifests: Sequence[Path]) -> Printed:
    """A row per prepared cache; one that cannot be read says why."""
    return ("cache", "checksum", "cases", "folder"), [_cache_row(path) for path in manifests], "llrl"


def _cache_row(path: Path) -> Row:
    from harness.data.cache import read_manifest

    try:
        manifest = read_manifest(path)
    except HarnessError as error:
        return "damaged", "", "", str(error).partition("\n")[0]
    return f"{manifest.dataset} v{manifest.version}", manifest.checksum[:10], str(len(manifest.cases)), str(path.parent)


def suite_table(files: Sequence[Path]) -> Printed:
    """A row per suite file."""
    from harness.suite.load import load_suite

    suites = [load_suite(str(file)).suite for file in files]
    rows: list[Row] = [(suite.name, suite.dataset, str(suite.budget), suite.description) for suite in suites]
    return ("suite", "dataset", "budget a run", "what"), rows, "llll"


def _joined(values: Sequence[str]) -> str:
    return " ".join(dict.fromkeys(values))


_PARTS = ("useful", "lost", "evaluation", "checkpoint", "start_up", "idle", "unexplained")


def method_account_table(methods: Sequence[MethodAccount]) -> Printed:
    """A row per method: device seconds of its allocations by what they went into, ledger / allocation, in steps."""
    headers = ("method", "attempts", "in", "allocated", *_part_names(), "ledger", "in steps")
    rows: list[Row] = [
        (
            *(one.method, str(one.attempts), f"{one.currency}-s", f"{one.allocated:.1f}"),
            *(*_parts(one.seconds), f"{one.ledger_ratio:.1%}", f"{one.training_share:.1%}"),
        )
        for one in methods
    ]
    return headers, rows, "lrl" + "r" * (len(_PARTS) + 3)


def allocation_table(allocations: Sequence[AllocationAccount]) -> Printed:
    """A row per allocation; the last column marks what is not explained, or still runs."""
    headers = ("job", "state", "node", "devices", "attempts", "in", "allocated", *_part_names(), "tolerated", "note")
    rows: list[Row] = [
        (
            *(one.name, one.state, one.node, f"{one.devices} {one.gres or 'cpu'}", str(len(one.attempts))),
            *(f"{one.currency}-s", f"{one.allocated:.1f}", *_parts(one.seconds), f"{one.tolerated_seconds:.1f}"),
            "runs" if one.open else "UNEXPLAINED" if one.violation else "",
        )
        for one in allocations
    ]
    return headers, rows, "llllrl" + "r" * (len(_PARTS) + 2) + "l"


def _part_names() -> list[str]:
    return [name.replace("_", "-") for name in _PARTS]


def _parts(seconds: Seconds) -> list[str]:
    return [f"{value:.1f}" for value in (getattr(seconds, name) for name in _PARTS)]
