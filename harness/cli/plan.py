"""`harness plan`: what a suite would run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from harness.cli.cluster import cluster_option, load_asked, show_plan, with_jobs
from harness.cli.options import data_option, runs_option, say, suite_option
from harness.cli.tables import duration, plan_table, plan_units, print_table


@click.command()
@suite_option
@data_option
@runs_option
@click.option("--workers", type=click.IntRange(1), help="Units at once; default: the GPUs, or the cores without them.")
@click.option("--executor", type=click.Choice(["local", "slurm"]), default="local", show_default=True)
@cluster_option
@click.option("--units", is_flag=True, help="List every unit: its slot, its id and its state.")
def command(
    suite: str,
    data: Path | None,
    runs: Path,
    workers: int | None,
    executor: Literal["local", "slurm"],
    cluster: Path | None,
    units: bool,
) -> None:
    """Show the units of a suite, what is done, and what the rest costs: the dry run of `run`.

    Writes nothing and prepares no data; without data it cannot know what is done. The budget is exact. The wall time
    is a range, judged by finished units of the same suite and device alone.

    With --executor slurm it also shows the bundles and the exact batch files, and submits nothing.
    """
    from harness.execution.dry_run import look_ahead
    from harness.suite.load import load_suite

    asked = load_asked(suite, executor, cluster, workers)
    outlook = look_ahead(load_suite(suite), data, runs)
    if asked is not None:
        outlook = with_jobs(outlook)
    print_table(*(plan_units(outlook) if units else plan_table(outlook)))
    if outlook.states is None:
        say(f"done: unknown, {outlook.unknown}")
    if asked is not None:
        show_plan(outlook, asked)
        return

    from harness.execution.estimate import wall_time
    from harness.execution.process_pool import default_workers
    from harness.records.reader import SuiteRecords
    from harness.train.environment import device_model, pick_device

    at_once = workers or default_workers()
    time = wall_time(outlook.pending, SuiteRecords(outlook.store), device_model(pick_device()), at_once)
    if time.low_seconds is None or time.high_seconds is None:
        say(f"wall time to go: {time.source}")
    else:
        span = f"{duration(time.low_seconds)} to {duration(time.high_seconds)}"
        say(f"wall time to go: {span} with {at_once} worker{'s' if at_once > 1 else ''} ({time.source})")
