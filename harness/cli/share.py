"""Records on their way: `harness export`, `import` and `clean`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import PATH, records_argument, runs_option

if TYPE_CHECKING:
    from harness.records.reader import SuiteRecords

log = logging.getLogger(__name__)


@click.command("export")
@records_argument
@click.option("--to", "file", type=PATH, required=True, metavar="FILE", help="A .tar.gz file; .tar.xz is smaller.")
@click.option("--no-history", is_flag=True, help="Leave out the losses of every step: tables need none, replay does.")
@click.option("--no-predictions", is_flag=True, help="Leave out label maps: tables need none, pictures do.")
def export_command(records: SuiteRecords, file: Path, no_history: bool, no_predictions: bool) -> None:
    """Pack the records in FOLDER, without weights, logs and scans, into one file to share.

    Whoever imports it gets the same leaderboard. The same records give the same bytes. Environment records name the
    host, its processor and the versions that ran.
    """
    from harness.records.archive import export_records

    count = export_records(records, file, history=not no_history, predictions=not no_predictions)
    log.info("%s: %d records, %.2f MB", file, count, file.stat().st_size / 1e6)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@runs_option
def import_command(file: Path, runs: Path) -> None:
    """Unpack the records in FILE, which somebody exported, into RUNS/<suite>.

    Records that are there already and equal are kept; where one differs, nothing is imported and all such are named.
    """
    from harness.records.archive import import_records

    done = import_records(file, runs)
    log.info("%s: %d records added, %d were there already", done.store.root, done.added, done.kept)
    log.info("next: harness leaderboard %s", done.store.root)


@click.command("clean")
@records_argument
@click.option("--yes", is_flag=True, help="Delete; without it, only show what would be deleted.")
def clean_command(records: SuiteRecords, yes: bool) -> None:
    """Delete the checkpoints of the finished runs in FOLDER: their weights go, every record stays.

    `replay` trains the same weights again. Runs that failed or are not finished keep their checkpoints.
    """
    from harness.records.reader import delete, leftovers

    files = leftovers(records)
    for path, size_bytes in files.items():
        click.echo(f"{size_bytes:>12}  {path}")
    if yes:
        delete(files)
    total = f"{len(files)} files, {sum(files.values()) / 1e6:.1f} MB"
    log.info(f"deleted {total}" if yes else f"would delete {total}; nothing was deleted, say --yes to do so")
