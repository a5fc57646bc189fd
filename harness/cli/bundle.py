"""`harness bundle`: one bundle of a submitted suite."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import say


@click.command()
@click.argument("submission", type=click.Path(path_type=Path))
@click.argument("index", type=click.IntRange(0))
def command(submission: Path, index: int) -> int:
    """Run what is left of bundle INDEX of SUBMISSION, a file RUNS/<suite>/slurm/<name>.json: what array tasks call.

    On SIGUSR1 and SIGTERM its units checkpoint, and it exits with 75: the same command goes on.
    """
    from harness.slurm.task import run_task
    from harness.train.stop import StopFlag

    return run_task(submission, index, StopFlag(), say)
