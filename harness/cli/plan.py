"""`harness plan`: what a suite would run, what that costs, and which differences it can resolve."""

from __future__ import annotations

import logging
import math
import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness import pipeline
from harness.api.errors import UsageError
from harness.cli import options
from harness.cli.cluster import check_options, show_plan, with_jobs
from harness.cli.tables import duration, plan_runs, plan_table, print_table
from harness.records.reader import SuiteRecords
from harness.slurm.cluster import load_cluster, refuse_adaptive, refuse_mixed_gpus

if TYPE_CHECKING:
    from harness.execution.dry_run import DryRun
    from harness.execution.forecast import Forecast
    from harness.stats.power import Spread
    from harness.suite.plan import Plan

log = logging.getLogger(__name__)

WANTED = 0.02
"""Dice: a difference that papers report as progress."""


@click.command("plan")
@options.suite_option
@options.data_option
@options.runs_option
@options.rung_option
@options.workers_option
@click.option(
    "--executor",
    type=click.Choice(["local", "slurm"]),
    default="local",
    help="Where `run` would train: on this machine, or in jobs of Slurm.",
)
@options.cluster_option
@click.option("--list", "list_all", is_flag=True, help="List every run: its name, its id and its state.")
def plan_command(
    suite: str,
    data: Path | None,
    runs: Path,
    rung: int | None,
    workers: int | None,
    executor: Literal["local", "slurm"],
    cluster: Path | None,
    list_all: bool,
) -> None:
    """Show the runs of a suite, what is done, what the rest costs and what it can tell: the dry run of `run`.

    Writes nothing but the index of what it read, and prepares no data. Without data it cannot know what is done. The
    budget is exact. Device-hours and disk are of all runs of a line; under a budget of reference steps the calibration
    says how long they take. The wall time is a range, estimated from finished runs of the same suite and device.

    Two methods that differ by less than the smallest difference will probably share a rank. It follows from the test
    patients and the number of ranked methods, and from how far differences spread over patients: in finished runs of
    this suite, else in the results that are shipped.

    With --executor slurm it also shows the array tasks and the exact batch files, and submits nothing; before the
    suite is calibrated, the batch file of that job.
    """
    from harness.execution.device_time import device_time
    from harness.execution.forecast import Forecast

    check_options(executor, cluster, workers)
    loaded = None if cluster is None else load_cluster(cluster)
    dry_run = pipeline.plan_suite(suite, data=data, runs=runs, rung=rung)
    if loaded is not None:
        refuse_adaptive(dry_run.plan.loaded, suite)
        refuse_mixed_gpus(loaded, dry_run.plan.loaded)
        dry_run = with_jobs(dry_run)
    forecast = Forecast(dry_run.plan, dry_run.store)
    print_table(*(plan_runs(dry_run) if list_all else plan_table(dry_run, forecast)))
    for line in [*tuning_lines(dry_run.plan), *resolution_lines(dry_run), disk_line(dry_run, forecast)]:
        log.info(line)
    if dry_run.states is None:
        log.info("done: unknown, %s", dry_run.unknown)
    if (time_to_go := device_time(dry_run.plan, dry_run.store)) is not None:
        log.info("device time to go: %s", time_to_go)
    if loaded is not None:
        show_plan(dry_run, loaded)
        return

    from harness.execution.dry_run import wall_time
    from harness.execution.process_pool import default_workers
    from harness.train.environment import device_model, pick_device

    at_once = workers or default_workers()
    time = wall_time(dry_run.pending, SuiteRecords(dry_run.store), device_model(pick_device()), at_once)
    if not isinstance(time, str):
        span = f"{duration(time[0])} to {duration(time[1])}"
        time = f"{span} with {at_once} worker{'s' if at_once > 1 else ''} ({time[2]})"
    unnamed = sum(training.run is None for training in dry_run.plan.trainings())
    log.info("wall time to go: %s%s", time, f", without {unnamed} runs that the search has yet to name" * (unnamed > 0))


def tuning_lines(plan: Plan) -> Iterator[str]:
    """What a search would spend in vain, or on some entries alone."""
    suite, search = plan.loaded.suite, plan.loaded.suite.search
    if search is None:
        return
    counts = Counter(planned.trial.entry for planned in plan.trials)
    if search.mode != "adaptive" and not plan.uncalibrated and len(set(counts.values())) > 1:
        trials = ", ".join(f"{entry} {count}" for entry, count in counts.items())
        yield f"tuned with unequal budgets, which `harness audit` will not let pass (rule 7): trials {trials}"
    if (seeds := len(suite.seeds)) < search.studies:
        yield f"seed number k takes the choice of study k: {seeds} of {search.studies} studies serve a final run"


def resolution_lines(dry_run: DryRun) -> Iterator[str]:
    """The smallest difference in Dice that each table will probably find significant, and what that stands on."""
    from harness.stats.power import POWER, patients_needed, smallest_difference
    from harness.suite.plan import dataset_of

    suite, entries = dry_run.plan.loaded.suite, dry_run.plan.entries.values()
    patients, runs = len(dataset_of(dry_run.plan.loaded).splits["test"]), len(suite.subsets) * len(suite.seeds)
    methods = sum(entry.method.ranked and not entry.takes_all_labels for entry in entries)
    for labelled in suite.labelled if methods > 1 else ():
        spread, source = _spread(dry_run, labelled)
        difference = smallest_difference(spread.of_runs(runs), patients, methods)
        if math.isinf(difference):
            few = f"{patients} test patients are too few for {methods} methods"
            yield f"no difference can become significant at {labelled} labelled: {few}"
            continue
        own = spread.of_runs(runs)
        best = f", {100 * difference * spread.between / own:.1f} with any number of runs" if spread.within else ""
        yield (
            f"resolves at {labelled} labelled: {100 * difference:.1f} Dice points, found significant in {POWER:.0%} of "
            f"cases{best} ({methods} methods, {runs} run{'s' if runs > 1 else ''} each, {patients} test patients; over "
            f"these, differences spread by {100 * own:.1f} points {source})"
        )
        if difference > WANTED:
            needed = patients_needed(own, WANTED, methods)
            yield f"{100 * WANTED:.0f} Dice points would take about {needed:,} test patients instead of {patients}"


def _spread(dry_run: DryRun, labelled: int) -> tuple[Spread, str]:
    """By finished runs of the suite, or else by shipped results; and which."""
    from harness.leaderboard.inputs import read_input
    from harness.leaderboard.resolution import measured_spreads, typical_spread

    records = SuiteRecords(dry_run.store)
    if records.selection is not None:
        with suppress(UsageError):  # runs of two versions of a method, which no table mixes
            if (own := measured_spreads(read_input(records)).get(labelled)) is not None:
                return own, f"in {dry_run.store.root}"
    spread, source = typical_spread(dry_run.plan.data.name, labelled)
    return spread, f"as in {source}"


def disk_line(dry_run: DryRun, forecast: Forecast) -> str:
    """What all runs together leave on disk, and how to have some of it back."""
    uses = [forecast.disk(training) for training in dry_run.plan.trainings()]
    total, checkpoints = sum(use.total for use in uses), sum(use.checkpoint for use in uses)
    source = f"measured on {forecast.measured} runs" if forecast.measured else "estimated from the networks"
    clean = f"harness clean {shlex.quote(str(dry_run.store.root))} --yes"
    return (
        f"disk: {total / len(uses) / 1e6:.1f} MB a run, {total / 1e9:.2f} GB in all ({source}); `{clean}` deletes "
        f"checkpoints of finished runs, {checkpoints / 1e9:.2f} GB of it"
    )
