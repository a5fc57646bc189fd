"""`harness plan`: what a suite would run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import click

from harness.cli.cluster import check_options, plan_on_slurm, show_plan
from harness.cli.options import cluster_option, data_option, runs_option, suite_option, workers_option
from harness.cli.tables import duration, plan_runs, plan_table, print_table
from harness.records.reader import SuiteRecords

log = logging.getLogger(__name__)


@click.command("plan")
@suite_option
@data_option
@runs_option
@workers_option
@click.option(
    "--executor",
    type=click.Choice(["local", "slurm"]),
    default="local",
    help="Where `run` would train: on this machine, or in jobs of Slurm.",
)
@cluster_option
@click.option("--list", "list_all", is_flag=True, help="List every run: its name, its id and its state.")
def plan_command(
    suite: str,
    data: Path | None,
    runs: Path,
    workers: int | None,
    executor: Literal["local", "slurm"],
    cluster: Path | None,
    list_all: bool,
) -> None:
    """Show the runs of a suite, what is done, and what the rest costs: the dry run of `run`.

    Writes nothing and prepares no data. Without data it cannot know what is done. The budget is exact. The wall time is
    a range, estimated from finished runs of the same suite and device.

    With --executor slurm it also shows the array tasks and the exact batch files, and submits nothing.
    """
    from harness.pipeline import plan_suite

    check_options(executor, cluster, workers)
    loaded = None
    if cluster is None:
        dry_run = plan_suite(suite, data=data, runs=runs)
    else:
        dry_run, loaded = plan_on_slurm(suite, cluster, data, runs)
    print_table(*(plan_runs(dry_run) if list_all else plan_table(dry_run)))
    if dry_run.states is None:
        log.info("done: unknown, %s", dry_run.unknown)
    if loaded is not None:
        show_plan(dry_run, loaded)
        return

    from harness.execution.dry_run import wall_time
    from harness.execution.process_pool import default_workers
    from harness.train.environment import device_model, pick_device

    at_once = workers or default_workers()
    time = wall_time(dry_run.pending, SuiteRecords(dry_run.store), device_model(pick_device()), at_once)
    if isinstance(time, str):
        log.info("wall time to go: %s", time)
    else:
        span = f"{duration(time[0])} to {duration(time[1])}"
        log.info(f"wall time to go: {span} with {at_once} worker{'s' if at_once > 1 else ''} ({time[2]})")
