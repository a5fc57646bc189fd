"""`harness run`: everything that a suite asks for and that is not done yet."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from harness.cli.options import (
    data_option,
    panels_option,
    ray_address_option,
    runs_option,
    say,
    suite_option,
    tracking_option,
)


@click.command()
@suite_option
@data_option
@runs_option
@panels_option
@tracking_option
@click.option("--executor", type=click.Choice(["auto", "inline", "ray"]), default="auto", show_default=True)
@click.option("--workers", type=click.IntRange(1), help="Units at once; default: the GPUs, or the cores without them.")
@ray_address_option
@click.option("--no-track", is_flag=True, help="Do not mirror records into MLflow.")
@click.option("--retry-failed", is_flag=True, help="Run units again that ended with a failure record.")
@click.option("--checkpoint-seconds", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True)
def command(
    suite: str,
    data: Path | None,
    runs: Path,
    panels: bool | None,
    tracking_uri: str | None,
    executor: Literal["auto", "inline", "ray"],
    workers: int | None,
    ray_address: str | None,
    no_track: bool,
    retry_failed: bool,
    checkpoint_seconds: float,
) -> int:
    """Train what is missing under one budget, test once, track and rank. The same command goes on after any stop."""
    from harness.execute.session import open_session

    session = open_session(suite, data, runs, say)

    from harness.cli.report import show_leaderboard, track_or_warn
    from harness.execute.outcome import Outcome
    from harness.execute.run import ExecuteSettings, execute, exit_code
    from harness.train import StopFlag

    if retry_failed:
        session.reopen_failed()
    stop, settings = StopFlag(), ExecuteSettings(executor, workers, checkpoint_seconds, ray_address)
    outcomes: list[Outcome] = []
    if session.plan.loaded.suite.search is not None:
        from harness.search import run_search

        session, outcomes = run_search(session, settings, stop, say)
    if session.plan.finals:
        say(f"{session.store.root}: {session.outlook}, each {session.plan.budget}")
        outcomes += execute(session, settings, stop)
        show_leaderboard(session.store, cache=None if panels is False else session.cache)
    if not no_track:
        track_or_warn(session.store, tracking_uri)
    return exit_code(outcomes, session, stop.is_set())
