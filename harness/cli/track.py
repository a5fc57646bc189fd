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
    """Mirror a suite's finished units into MLflow: one experiment, a run per method, a run per unit below it.

    Doing it again adds nothing; after the database was deleted it gives everything back.
    """
    from harness.execute.records import open_records
    from harness.report.centers import draw_unit
    from harness.track import track_store

    say(track_store(open_records(suite, runs), tracking_uri, say, draw_unit).summary)
