"""One run in this process: `harness train` and `replay`."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from harness.cli.options import checkpoint_option, data_option, records_argument, runs_option, suite_option
from harness.records.reader import SuiteRecords

log = logging.getLogger(__name__)


@click.command("train")
@click.argument("run")
@suite_option
@data_option
@runs_option
@checkpoint_option
def train_command(run: str, suite: str, data: Path | None, runs: Path, checkpoint_seconds: float) -> int:
    """Train RUN of a suite, from its checkpoint if it has one; returns at once if it is done.

    RUN is an id, the beginning of one, ENTRY/LABELLED/SUBSET/SEED (ua_mt/7/0/1, supervised_full/all/0/1), or a trial of
    the suite's search, ENTRY/trial/STUDY/POINT.
    """
    from harness.execution.outcome import Outcome
    from harness.execution.process import BUSY, parent_and_allowance
    from harness.execution.run import run_inline
    from harness.execution.session import join_session
    from harness.suite.load import load_suite
    from harness.train.run import RunSettings
    from harness.train.stop import StopFlag

    session = join_session(load_suite(suite), data, runs)
    named = session.find(run)
    with StopFlag().on_signals() as stop:
        parent, allowance = parent_and_allowance()
        settings = RunSettings(checkpoint_seconds, parent, stop, allowance=allowance)
        outcome = next(run_inline(session, [named], settings), Outcome(named.id, "interrupted", stop.reason, 75))
    log.info(f"{session.name_of(named)}: {outcome.status}{': ' if outcome.message else ''}{outcome.message}")
    return BUSY if outcome.status == "busy" else outcome.exit_code


@click.command("replay")
@records_argument
@click.argument("run")
@data_option
def replay_command(records: SuiteRecords, run: str, data: Path | None) -> None:
    """Train RUN of the suite in FOLDER again from its recorded progress, and compare the weights bit by bit.

    RUN is ENTRY/LABELLED/SUBSET/SEED (ua_mt/7/0/1, supervised_full/all/0/1), its id or the beginning of it. Writes no
    record. The same processor model, torch build and thread count give the same weights. If they differ, the exit code
    is 70 and the message says what is different here.
    """
    record = records.find(run)  # a typo is refused before torch is loaded

    from harness.train.replay import check_replay
    from harness.train.stop import StopFlag

    with StopFlag().on_signals() as stop:
        replayed = check_replay(record, data, stop)
    click.echo(f"recorded  {replayed.recorded}\nreplayed  {replayed.replayed}")
    replayed.check()
    log.info(f"{record.run.label}: bitwise equal")
