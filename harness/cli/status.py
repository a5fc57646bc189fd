"""`harness status`: how far a suite is."""

from __future__ import annotations

import time
from pathlib import Path

import click

from harness.cli.options import runs_option, say, suite_option
from harness.cli.tables import print_table, status_table


@click.command()
@suite_option
@runs_option
@click.option("--watch", type=click.FloatRange(0.1), metavar="SECONDS", help="Print again so often, until all ended.")
def command(suite: str, runs: Path, watch: float | None) -> None:
    """Show how far every unit of a suite is: needs no data, changes nothing.

    done and failed have a result; running is held by a living process; stopped was begun and goes on from its
    checkpoint with `run`. Lost seconds are what interruptions cost beyond the last checkpoint. Where `run --executor
    slurm` submitted units, Slurm is asked too, at most once a minute: queued waits in a job, or behind others in one.
    """
    from harness.records.reader import SuiteRecords
    from harness.records.status import read_status
    from harness.slurm.view import SuiteWatch
    from harness.suite.recorded import open_records

    store = open_records(suite, runs)
    jobs = SuiteWatch()
    while True:
        records = SuiteRecords(store)
        status, trouble = jobs.merge(read_status(records), records)
        if watch:
            click.clear()
        print_table(*status_table(status))
        say(status.summary)
        if trouble:
            say(f"jobs: unknown, {trouble}")
        left = len(status.units) - status.counts["done"] - status.counts["failed"]
        if not watch or not left:
            return
        time.sleep(watch)
