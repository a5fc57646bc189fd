"""`harness unit`: one unit in this process."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import data_option, runs_option, say, suite_option


@click.command()
@click.argument("unit")
@suite_option
@data_option
@runs_option
@click.option("--checkpoint-seconds", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True)
def command(unit: str, suite: str, data: Path | None, runs: Path, checkpoint_seconds: float) -> int:
    """Run UNIT of a suite, from its checkpoint if it has one; returns at once if it is done.

    UNIT is an id, the beginning of one, a slot METHOD/LABELLED/SUBSET/SEED (ua_mt/7/0/1, supervised_full/all/0/1), or a
    trial of the suite's search, METHOD/trial/STUDY/POINT.
    """
    from harness.execution.inline import run_inline
    from harness.execution.outcome import Outcome
    from harness.execution.process import HELD, parent_and_allowance
    from harness.execution.session import open_session
    from harness.train.run import RunSettings
    from harness.train.stop import StopFlag

    session = open_session(suite, data, runs, say, select=False)
    asked = session.find(unit)
    with StopFlag().on_signals() as stop:
        parent, allowance = parent_and_allowance()
        settings = RunSettings(checkpoint_seconds, parent, stop, allowance=allowance)
        outcome = next(run_inline(session, [asked], settings), Outcome(asked.id, "interrupted", stop.reason, 75))
    say(f"{session.name_of(asked)}: {outcome.status}{': ' if outcome.message else ''}{outcome.message}")
    return HELD if outcome.status == "held" else outcome.exit_code
