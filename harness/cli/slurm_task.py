"""`harness slurm-task`: what the jobs of a submitted suite call."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("slurm-task")
@click.argument("submission", type=click.Path(path_type=Path))
@click.argument("index", type=click.IntRange(0), required=False)
def slurm_task_command(submission: Path, index: int | None) -> int:
    """Do the work of one job of SUBMISSION, a file RUNS/<suite>/slurm/<name>.json.

    With INDEX: train the unfinished runs of that array task. On SIGUSR1 and SIGTERM they checkpoint, and it exits with
    75; the same command goes on. Without INDEX: do the dependent job's work, submit the finals or rank.
    """
    from harness.train.stop import StopFlag

    if index is not None:
        from harness.slurm.run import run_task

        return run_task(submission, index, StopFlag())

    from harness.cli.cluster import report_slurm_run
    from harness.cli.view import print_leaderboard
    from harness.execution.run import exit_code
    from harness.pipeline import write_views
    from harness.records.reader import SuiteRecords
    from harness.slurm.record import Submissions
    from harness.slurm.run import run_dependent_job

    done = run_dependent_job(submission)
    if done is None:
        return 0
    if not done.over:
        return report_slurm_run(done)
    panels = Submissions.holding(submission)[1].panels
    cache = None if panels is False else done.session.cache
    print_leaderboard(write_views(SuiteRecords(done.session.store), cache))
    return exit_code([], done.session, stopped=False)
