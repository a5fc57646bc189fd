"""`harness unit`: one unit in this process."""

from __future__ import annotations

import math
from pathlib import Path

import click

from harness.cli.options import data_option, runs_option, say, suite_option


@click.command()
@click.argument("unit")
@suite_option
@data_option
@runs_option
@click.option("--checkpoint-seconds", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True)
@click.option("--parent", type=int, hidden=True, help="Stop when this process is gone.")
@click.option("--allowance", type=float, hidden=True, default=math.inf, help="What a trial may spend, losses included.")
def command(
    unit: str,
    suite: str,
    data: Path | None,
    runs: Path,
    checkpoint_seconds: float,
    parent: int | None,
    allowance: float,
) -> int:
    """Run UNIT of a suite, from its checkpoint if it has one; returns at once if it is done.

    UNIT is an id, the beginning of one, a slot METHOD/LABELLED/SUBSET/SEED (ua_mt/7/0/1, supervised_full/all/0/1), or a
    trial of the suite's search, METHOD/trial/STUDY/POINT.
    """
    from harness.execution.inline import run_one
    from harness.execution.process import HELD
    from harness.execution.session import open_session
    from harness.train.stop import StopFlag
    from harness.train.unit import RunSettings

    session = open_session(suite, data, runs, say, select=False)
    asked = session.find(unit)
    with StopFlag().on_signals() as stop:
        settings = RunSettings(checkpoint_seconds, parent, stop, say, allowance=allowance)
        outcome = run_one(session, asked, settings)
    say(f"{session.name_of(asked)}: {outcome.status}{': ' if outcome.message else ''}{outcome.message}")
    return HELD if outcome.status == "held" else outcome.exit_code
