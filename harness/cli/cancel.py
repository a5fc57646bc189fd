"""`harness cancel`: stop what a suite runs on a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import runs_option, say, suite_option


@click.command()
@suite_option
@runs_option
def command(suite: str, runs: Path) -> None:
    """Cancel the jobs that `run --executor slurm` submitted for a suite, and no others.

    Units that run checkpoint first; `run` again goes on from there.
    """
    from harness.records.reader import SuiteRecords
    from harness.slurm.cancel import cancel
    from harness.suite.recorded import open_records

    jobs = cancel(SuiteRecords(open_records(suite, runs)))
    say(f"cancelled {len(jobs)} jobs: {', '.join(jobs)}" if jobs else "nothing of this suite waits or runs")
