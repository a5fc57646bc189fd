"""`harness replay`: a finished unit, trained again."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import data_option, runs_option, say, suite_option


@click.command()
@click.argument("unit")
@suite_option
@data_option
@runs_option
def command(unit: str, suite: str, data: Path | None, runs: Path) -> None:
    """Train UNIT again from the progress that it recorded at every step, and compare the weights bit by bit.

    UNIT is its slot METHOD/LABELLED/SUBSET/SEED (ua_mt/7/0/1, supervised_full/all/0/1), its id or the beginning of it.
    Writes no record. The same processor model, torch build and thread count give the same weights; exit code 70 if
    they differ, with what is different here.
    """
    from harness.suite.recorded import find_recorded, open_records

    folder = find_recorded(open_records(suite, runs), unit)

    from harness.train.replay_check import train_again
    from harness.train.stop import StopFlag

    with StopFlag().on_signals() as stop:
        again = train_again(folder, data, stop, say)
    click.echo(f"recorded  {again.recorded}\nreplayed  {again.replayed}")
    again.check()
    say(f"{folder.unit.label}: bitwise equal")
