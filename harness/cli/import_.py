"""`harness import`: records from one file."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import runs_option, say


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@runs_option
def command(file: Path, runs: Path) -> None:
    """Unpack the records in FILE, which somebody exported, into RUNS/<suite>.

    Records that are there already and equal are kept; where one differs, nothing is imported and all such are named.
    """
    from harness.records.archive_import import import_records

    done = import_records(file, runs)
    say(f"{done.store.root}: {done.added} records added, {done.kept} were there already")
    say(f"next: harness leaderboard --suite {done.store.root.name} --runs {runs}")
