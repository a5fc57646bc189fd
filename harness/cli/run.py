"""`harness run`: train what a suite lacks, test it and rank it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import click

from harness.api.errors import RunFailedError
from harness.cli.cluster import check_options, report_slurm_run
from harness.cli.options import (
    checkpoint_option,
    cluster_option,
    data_option,
    panels_option,
    runs_option,
    suite_option,
    tracking_option,
    workers_option,
)
from harness.cli.records import print_leaderboard
from harness.records.reader import SuiteRecords

log = logging.getLogger(__name__)


@click.command("run")
@suite_option
@data_option
@runs_option
@panels_option
@tracking_option
@click.option(
    "--executor",
    type=click.Choice(["auto", "inline", "ray", "slurm"]),
    default="auto",
    help="Where runs are trained: in this process, on a Ray, in Slurm's jobs; auto: in processes of this machine, and "
    "searches on Ray Tune where Ray is installed.",
)
@cluster_option
@workers_option
@click.option(
    "--ray-address",
    help="Train on a Ray that is up: HOST:PORT, or a file that holds it; default: one of our own on this machine.",
)
@click.option("--no-track", is_flag=True, help="Do not mirror records into MLflow.")
@click.option(
    "--reuse",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of another suite's records; runs that it has finished are taken over instead of trained again.",
)
@click.option("--retry-failed", is_flag=True, help="Train runs again that ended with a failure record.")
@checkpoint_option
def run_command(
    suite: str,
    data: Path | None,
    runs: Path,
    panels: bool | None,
    tracking_uri: str | None,
    executor: Literal["auto", "inline", "ray", "slurm"],
    cluster: Path | None,
    workers: int | None,
    ray_address: str | None,
    no_track: bool,
    reuse: Path | None,
    retry_failed: bool,
    checkpoint_seconds: float,
) -> int:
    """Train what is missing under one budget, test once, track and rank. The same command goes on after any stop.

    With --executor slurm it submits the runs that are missing and in no job, and returns. Once all have ended, it ranks
    and tracks.
    """
    from harness import pipeline

    check_options(executor, cluster, workers, ray_address)
    if executor == "slurm":
        assert cluster is not None, "without a cluster file this executor is refused"
        submitted = pipeline.submit_suite(
            suite,
            cluster=cluster,
            data=data,
            runs=runs,
            checkpoint_seconds=checkpoint_seconds,
            reuse=reuse,
            retry_failed=retry_failed,
            panels=panels,
        )
        if not submitted.over:
            return report_slurm_run(submitted)
        records = SuiteRecords(submitted.session.store)
        leaderboard = pipeline.write_views(records, None if panels is False else submitted.session.cache)
        if not no_track:
            pipeline.track_or_warn(records, tracking_uri)
    else:
        try:
            leaderboard = pipeline.run_suite(
                suite,
                data=data,
                runs=runs,
                executor=executor,
                workers=workers,
                ray_address=ray_address,
                checkpoint_seconds=checkpoint_seconds,
                reuse=reuse,
                retry_failed=retry_failed,
                panels=panels is not False,
                track=not no_track,
                tracking_uri=tracking_uri,
            )
        except pipeline.UnfinishedSuiteError as unfinished:
            if unfinished.leaderboard is not None:
                print_leaderboard(unfinished.leaderboard)
            log.info(unfinished)
            return unfinished.exit_code
    print_leaderboard(leaderboard)
    return RunFailedError.exit_code if pipeline.has_failed_runs(leaderboard) else 0
