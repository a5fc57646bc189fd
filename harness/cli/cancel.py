"""`harness cancel`: stop what a suite runs on a cluster."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from harness.cli.options import records_argument

if TYPE_CHECKING:
    from harness.records.reader import SuiteRecords

log = logging.getLogger(__name__)


@click.command("cancel")
@records_argument
def cancel_command(records: SuiteRecords) -> None:
    """Cancel the jobs that `run --executor slurm` submitted for the suite in FOLDER, and no others.

    Active runs checkpoint first. `harness run` again goes on from there.
    """
    from harness.slurm.submit import cancel

    jobs = cancel(records)
    log.info(f"cancelled {len(jobs)} jobs: {', '.join(jobs)}" if jobs else "nothing of this suite waits or runs")
