"""`harness run`: everything that a suite asks for and that is not done yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.cli.cluster import cluster_option, load_asked, tell
from harness.cli.options import (
    data_option,
    panels_option,
    ray_address_option,
    runs_option,
    say,
    suite_option,
    tracking_option,
)

if TYPE_CHECKING:
    from harness.execution.session import Session


def take_over(session: Session, source: Path) -> None:
    """Take over what another suite has trained; say so, and what that may mix."""
    from harness.execution.reuse import elsewhere, reuse

    taken = reuse(session, source)
    say(f"{source}: {len(taken)} units taken over")
    count = elsewhere(session, taken)
    if count:
        say(
            f"warning: {count} of them ran on another host, where device time may have bought more steps or fewer than "
            "it does here: compare the steps of rows, or train them again without --reuse"
        )


@click.command()
@suite_option
@data_option
@runs_option
@panels_option
@tracking_option
@click.option("--executor", type=click.Choice(["auto", "inline", "ray", "slurm"]), default="auto", show_default=True)
@cluster_option
@click.option("--workers", type=click.IntRange(1), help="Units at once; default: the GPUs, or the cores without them.")
@ray_address_option
@click.option("--no-track", is_flag=True, help="Do not mirror records into MLflow.")
@click.option(
    "--reuse",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Run directory of another suite; units that it has finished too are taken over instead of trained again.",
)
@click.option("--retry-failed", is_flag=True, help="Run units again that ended with a failure record.")
@click.option("--checkpoint-seconds", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True)
def command(
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

    With --executor slurm it submits what is missing and neither waits nor runs, and returns; once everything has ended
    it ranks and tracks.
    """
    loaded = load_asked(suite, executor, cluster, workers, ray_address)
    if loaded is not None:
        from harness.slurm.partitions import check_partitions

        check_partitions(loaded)  # before minutes of preparing data
    from harness.execution.session import open_session

    session = open_session(suite, data, runs, say)
    if reuse is not None:
        take_over(session, reuse)
    if retry_failed:
        session.reopen_failed()

    from harness.cli.local import train_here
    from harness.cli.report import show_leaderboard, track_or_warn
    from harness.execution.outcome import Outcome
    from harness.execution.run import ExecuteSettings, exit_code
    from harness.train.stop import StopFlag

    stop = StopFlag()
    outcomes: list[Outcome] = []
    if executor == "slurm":
        assert loaded is not None, "without a cluster file this executor is refused"
        from harness.slurm.run import submit_missing

        done = submit_missing(session, loaded, checkpoint_seconds, panels)
        if not done.over:
            return tell(done)
        session = done.session
    else:
        settings = ExecuteSettings(executor, workers, checkpoint_seconds, ray_address)
        session, outcomes = train_here(session, settings, stop)
    if session.plan.finals:
        show_leaderboard(session.store, cache=None if panels is False else session.cache)
    if not no_track:
        track_or_warn(session.store, tracking_uri)
    return exit_code(outcomes, session, stop.is_set())
