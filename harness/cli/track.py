"""`harness track`: records into MLflow."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import runs_option, say, suite_option, tracking_option


@click.command()
@suite_option
@runs_option
@tracking_option
def command(suite: str, runs: Path, tracking_uri: str | None) -> None:
    """Mirror a suite's finished units into MLflow: one experiment, in it a run per suite, method and unit, nested.

    Doing it again adds nothing; after the database was deleted it gives everything back. Others who track a suite of
    the same name to the same server keep runs of their own.
    """
    from harness.records.reader import SuiteRecords
    from harness.suite.recorded import open_records
    from harness.tracking import leaderboard_is_current, track

    records = SuiteRecords(open_records(suite, runs))
    say(track(records, tracking_uri).summary)
    if not leaderboard_is_current(records):
        say(
            f"note: {records.store.leaderboard} is absent or older than the records; "
            f"write it with `harness leaderboard --suite {suite}` and track again"
        )
