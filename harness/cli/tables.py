"""Tables that verbs print: headers, rows, and the alignment of each column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api.errors import HarnessError
from harness.records.accounts import AllocationAccount, EntryAccount, Seconds
from harness.records.untrusted_text import single_line
from harness.suite.load import load_suite
from harness.suite.prepared import PreparedDataset

if TYPE_CHECKING:
    from harness.api.dataset import Dataset
    from harness.execution.dry_run import DryRun
    from harness.execution.forecast import Forecast
    from harness.records.status import State, SuiteStatus
    from harness.suite.plan import Plan, PlannedTraining

Line = Sequence[str]
Printed = tuple[Line, list[Line], str]
"""Headers, lines, and the alignment of each column: 'l' or 'r'."""


def print_table(headers: Line, rows: Sequence[Line], align: str) -> None:
    """A table on standard output, columns two spaces apart, never wrapped; align: 'l' or 'r' per column."""
    rows = [[single_line(cell) for cell in line] for line in rows]
    columns = zip(*[headers, *rows], strict=True)
    widths = [max(map(len, column)) for column in columns]
    aligned = [str.rjust if side == "r" else str.ljust for side in align]
    lines = (
        "  ".join(pad(cell, n) for pad, cell, n in zip(aligned, line, widths, strict=True)) for line in [headers, *rows]
    )
    click.echo("\n".join(line.rstrip() for line in lines))


def duration(seconds: float) -> str:
    """0:52:30, to the second; days in words."""
    return str(timedelta(seconds=round(seconds)))


def hours(seconds: Sequence[float | None]) -> str:
    """Of all together."""
    known = [each for each in seconds if each is not None]
    return f"{sum(known) / 3600:.2f}" if len(known) == len(seconds) else "unknown"


def plan_table(dry_run: DryRun, forecast: Forecast) -> Printed:
    """A line per entry, of the search and of the finals of each rung, and a last one for all.

    It holds runs, states, the budget of a run, and what all runs of the line take together.
    """
    from harness.records.status import STATES

    states = [state for state in STATES if state in (dry_run.states or {}).values()]
    trainings = dry_run.plan.trainings()
    searched = any(training.role == "search" for training in trainings)
    rows: list[Line] = []
    for row in dict.fromkeys(map(_row_of, trainings)):
        own, (role, entry, budget) = [training for training in trainings if _row_of(training) == row], row
        columns = zip(*((training.labelled or "all", training.subset, training.seed) for training in own), strict=True)
        varied = [" ".join(dict.fromkeys(map(str, column))) for column in columns]
        head = (f"{entry} ({role})" if searched else entry, *varied, str(len(own)))
        rows.append((*head, *_counts(dry_run, own, states), budget, *_costs(forecast, own), _steps(dry_run.plan, own)))
    counts = _counts(dry_run, trainings, states)
    rows.append(("all", "", "", "", str(len(trainings)), *counts, "", *_costs(forecast, trainings), ""))
    headers = ("entry", "labelled", "subsets", "seeds", "runs", *states, "budget a run", "device-hours", "disk MB")
    align = "llll" + "r" * (len(states) + 4) + "l"
    if dry_run.plan.budget.currency != "reference_steps":
        return headers, [row[:-1] for row in rows], align[:-1]
    return (*headers, "steps by stage"), rows, align


def _costs(forecast: Forecast, own: Sequence[PlannedTraining]) -> tuple[str, str]:
    seconds = hours([forecast.seconds(training) for training in own])
    return seconds, f"{sum(forecast.disk(training).total for training in own) / 1e6:,.0f}"


def _steps(plan: Plan, own: Sequence[PlannedTraining]) -> str:
    """Under reference steps: the steps by stage of the first of some runs."""
    if plan.uncalibrated:
        return "after calibration"
    stages = next((training.run.budget.stages for training in own if training.run is not None), None)
    return "after the selection" if stages is None else ", ".join(f"{stage.name} {stage.steps}" for stage in stages)


def _row_of(training: PlannedTraining) -> tuple[str, str, str]:
    return training.role, training.entry, str(training.budget)


def _counts(dry_run: DryRun, trainings: Sequence[PlannedTraining], states: Sequence[State]) -> list[str]:
    present = [dry_run.state(training) for training in trainings]
    return [str(present.count(state)) for state in states]


def plan_runs(dry_run: DryRun) -> Printed:
    """A line per run, in their order. A run that a search has yet to name has no id."""
    trainings = dry_run.plan.trainings()
    if dry_run.states is None:  # ids depend on the data, so they are unknown too
        return ("run", "budget"), [(training.name, str(training.budget)) for training in trainings], "ll"
    rows: list[Line] = []
    for training in trainings:
        run_id = "" if training.run is None else training.run.id[:10]
        rows.append((training.name, run_id, dry_run.state(training), str(training.budget)))
    return ("run", "id", "state", "budget"), rows, "llll"


def status_table(status: SuiteStatus) -> Printed:
    """A line per run."""
    headers = ("run", "state", "budget", "steps", "device s", "lost s", "attempts", "val. Dice", "note")
    rows: list[Line] = []
    for name, run in status.runs:
        spent, dice = run.spent, "" if run.validation_dice is None else f"{run.validation_dice:.3f}"
        seconds = (f"{spent.useful_device_seconds:.1f}", f"{spent.lost_device_seconds:.1f}")
        state = (str(name), run.state, f"{run.share:.1%}", str(spent.useful_steps))
        rows.append((*state, *seconds, str(spent.attempts), dice, run.note))
    return headers, rows, "llrrrrrrl"


def dataset_table(datasets: Sequence[Dataset]) -> Printed:
    """A line per dataset; patients of the training, validation and test split."""
    rows: list[Line] = [
        (
            *(dataset.name, str(dataset.version), f"{dataset.dimension}D", " ".join(dataset.classes[1:])),
            " / ".join(str(len(patients)) for patients in dataset.splits.values()),
            ", ".join(dataset.layouts) or ("prepared" if isinstance(dataset, PreparedDataset) else "generated"),
            dataset.track or "",
        )
        for dataset in datasets
    ]
    return ("dataset", "version", "kind", "classes", "train / val / test", "layouts", "track"), rows, "lllllll"


def megabytes(files: Iterable[Path]) -> str:
    """The size of all of them together."""
    return f"{sum(file.stat().st_size for file in files) / 1e6:,.1f} MB"


def cache_table(manifests: Sequence[Path]) -> Printed:
    """A line per prepared cache, with the size of its files; one that cannot be read says why.

    Among them are the preprocessed cases that runs share, which may be deleted while nobody trains.
    """
    from harness.records.manifest import read_manifest

    rows: list[Line] = []
    for path in manifests:
        try:
            manifest = read_manifest(path)
            name, count = f"{manifest.dataset} v{manifest.version}", str(len(manifest.cases))
            sizes = (megabytes(path.parent.glob(which)) for which in ("*", "*.pt"))
            rows.append((name, manifest.checksum[:10], count, *sizes, str(path.parent)))
        except HarnessError as error:
            rows.append(("damaged", "", "", "", "", str(error).partition("\n")[0]))
    return ("cache", "checksum", "cases", "size", "preprocessed", "folder"), rows, "llrrrl"


def suite_table(files: Sequence[Path]) -> Printed:
    """A line per suite file."""
    suites = [load_suite(str(file)).suite for file in files]
    rows: list[Line] = [(suite.name, suite.dataset, str(suite.budget), suite.description) for suite in suites]
    return ("suite", "dataset", "budget a run", "what"), rows, "llll"


_PARTS = [name.replace("_", "-") for name in Seconds.model_fields]


def entry_account_table(methods: Sequence[EntryAccount]) -> Printed:
    """A line per entry: device seconds of its allocations by use, ledger / allocation, and the share in steps."""
    headers = ("entry", "attempts", "in", "allocated", *_PARTS, "ledger", "in steps")
    rows: list[Line] = [
        (
            *(account.entry, str(account.attempts), f"{account.currency}-s", f"{account.allocated:.1f}"),
            *(*_parts(account.seconds), f"{account.ledger_ratio:.1%}", f"{account.training_share:.1%}"),
        )
        for account in methods
    ]
    return headers, rows, "lrl" + "r" * (len(_PARTS) + 3)


def allocation_table(allocations: Sequence[AllocationAccount]) -> Printed:
    """A line per allocation. The last column marks what is not explained, or still runs."""
    headers = ("job", "state", "node", "devices", "attempts", "in", "allocated", *_PARTS, "tolerated", "note")
    rows: list[Line] = [
        (
            *(each.name, each.state, each.node, f"{each.devices} {each.gres or 'cpu'}", str(len(each.attempts))),
            *(f"{each.currency}-s", f"{each.allocated:.1f}", *_parts(each.seconds), f"{each.tolerated_seconds:.1f}"),
            "runs" if each.open else "UNEXPLAINED" if each.violation else "",
        )
        for each in allocations
    ]
    return headers, rows, "llllrl" + "r" * (len(_PARTS) + 2) + "l"


def _parts(seconds: Seconds) -> list[str]:
    return [f"{value:.1f}" for _, value in seconds]
