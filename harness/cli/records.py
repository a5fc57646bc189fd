"""What the records of a suite say, and records on their way: `harness leaderboard`, `status`, `export`, ..."""

from __future__ import annotations

import logging
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import click

from harness.api.errors import AuditError, RecordError, UsageError
from harness.cli.completion import complete_folder
from harness.cli.options import PATH, data_option, panels_option, records_argument, runs_option, tracking_option
from harness.cli.tables import print_table, status_table
from harness.records.reader import SuiteRecords, delete, leftovers
from harness.records.untrusted_text import csv_text, without_controls

if TYPE_CHECKING:
    from harness.audit import Audit
    from harness.leaderboard.leaderboard import Leaderboard

log = logging.getLogger(__name__)

Form = Literal["text", "csv", "markdown", "latex"]
"""What `leaderboard` prints."""


@click.command("leaderboard")
@records_argument
@data_option
@panels_option
@click.option(
    "--rung",
    type=click.IntRange(1),
    metavar="N",
    help="Print one rung of a suite whose budget is a ladder, in reference steps; what is written holds all.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(Form)),
    default="text",
    help="What is printed; csv, markdown, figure and page are written beside the records each time. latex: tables for "
    "a paper, with booktabs.",
)
@click.option("--explain", is_flag=True, help="Print all tables with what their numbers mean, 100 columns wide.")
def leaderboard_command(
    records: SuiteRecords,
    data: Path | None,
    panels: bool | None,
    rung: int | None,
    form: Form,
    explain: bool,
) -> None:
    """Compute the tables of the suite in FOLDER from its records, write them into FOLDER/leaderboard, print the answer.

    Needs no data and no weights: the same records give the same tables, byte for byte. Beside them it writes
    index.html, a page with everything in it; given the data, with pictures of the worst test cases.
    """
    from harness.pipeline import find_data, write_views

    if explain and form != "text":
        raise UsageError(f"--explain is about text; --format {form} holds all of it, leave out one of them")
    wanted = data is not None if panels is None else panels
    leaderboard = write_views(records, find_data(records, data) if wanted else None)
    print_leaderboard(leaderboard if rung is None else leaderboard.at_rung(rung), form, explain=explain)


def print_leaderboard(leaderboard: Leaderboard, form: Form = "text", *, explain: bool = False) -> None:
    """The leaderboard on standard output; in colour where that is a terminal. explain: all tables and definitions."""
    from rich.console import Console

    from harness.leaderboard.latex import latex
    from harness.leaderboard.render import markdown, show, terminal_text
    from harness.leaderboard.summary import show_summary, summary_text

    if form != "text":
        texts = {"csv": lambda: csv_text(leaderboard.results), "markdown": lambda: markdown(leaderboard)}
        click.echo(texts.get(form, lambda: latex(leaderboard))(), nl=False)
        return
    console = Console()
    if console.is_terminal:
        (show if explain else show_summary)(leaderboard, console)
    else:
        click.echo((terminal_text if explain else summary_text)(leaderboard), nl=False)
    if not explain:
        log.info(
            "all tables and what they mean: harness leaderboard %s --explain", shlex.quote(str(leaderboard.folder))
        )


@click.command("status")
@records_argument
@click.option(
    "--watch",
    type=click.FloatRange(0.1),
    metavar="SECONDS",
    help="Print again after so many seconds, until all runs have ended.",
)
def status_command(records: SuiteRecords, watch: float | None) -> None:
    """Show how far every run of the suite in FOLDER is: needs no data, changes no record.

    Runs that are done or failed have a result. A process trains those that are running. Interrupted ones go on from
    their checkpoint with `run`. Lost seconds are those that interruptions cost beyond the last checkpoint. Slurm is
    asked about the runs that it has, at most once a minute; queued ones wait in a job. Below are nodes that fail tasks,
    tasks that are held, and a dependent job that was lost.
    """
    from harness.records.status import read_status
    from harness.slurm.view import SuiteWatch

    jobs = SuiteWatch()
    while True:
        status, notes = jobs.merge(read_status(records), records)
        if watch:
            click.clear()
        if status.runs:
            print_table(*status_table(status))
        log.info(status.summary)
        for note in notes:
            log.info(note)
        left = len(status.runs) - status.counts["done"] - status.counts["failed"]
        if not watch or not (left or status.before):
            return
        time.sleep(watch)
        records = SuiteRecords(records.store)  # reads them anew


@click.command("audit")
@records_argument
@click.option("--json", "as_json", is_flag=True, help="Print all findings as JSON instead of text.")
def audit_command(records: SuiteRecords, as_json: bool) -> None:
    """Go through the rules of benchmarks/RULES.md and say for each whether the records in FOLDER hold it.

    Each is held, not held or not applicable, with figures, runs and files as evidence. A rule that no record can show
    is not applicable. The exit code is 76 if a rule is not held.
    """
    from harness.audit import audit

    audited = audit(records)
    click.echo(without_controls(audited.model_dump_json(indent=1) if as_json else audit_text(audited)))
    log.info(audited.summary)
    if audited.violations:
        raise AuditError("not held: " + "; ".join(f"{rule.number}. {rule.title}" for rule in audited.violations))


def audit_text(audited: Audit) -> str:
    """All findings as text: number, status and title of each rule, with its evidence below."""
    lines = []
    for finding in audited.findings:
        lines.append(f"{finding.number:2d}  {finding.status:<14}  {finding.title}")
        lines += [f"{'':20}{evidence}" for evidence in finding.evidence]
    return "\n".join(lines)


@click.command("track")
@records_argument
@tracking_option
def track_command(records: SuiteRecords, tracking_uri: str | None) -> None:
    """Mirror the finished runs in FOLDER into MLflow.

    The suite's experiment gets a run for the suite, below it one per entry, and below these one per training. Doing it
    again adds nothing; after the database was deleted it restores all. Others who track a suite of the same
    name to the same server keep runs of their own.
    """
    from harness.tracking import leaderboard_is_current, track

    log.info(track(records, tracking_uri).summary)
    if not leaderboard_is_current(records):
        log.info(
            "note: %s is absent or older than the records; write it with `harness leaderboard %s` and track again",
            records.store.leaderboard,
            records.root,
        )


@click.command("export")
@click.argument(
    "suites",
    metavar="FOLDER...",
    nargs=-1,
    required=True,
    type=PATH,
    callback=lambda _context, _parameter, folders: [SuiteRecords.open(folder) for folder in folders],
    shell_complete=complete_folder,
)
@click.option("--to", "file", type=PATH, required=True, metavar="FILE", help="A .tar.gz file; .tar.xz is smaller.")
@click.option("--no-history", is_flag=True, help="Leave out the losses of every step: tables need none, replay does.")
@click.option("--no-predictions", is_flag=True, help="Leave out label maps: tables need none, pictures do.")
@click.option("--no-artifacts", is_flag=True, help="Leave out arrays and figures that methods left for people.")
@click.option("--weights", is_flag=True, help="Pack each run's last weights too, so that others predict new scans.")
def export_command(
    suites: list[SuiteRecords], file: Path, no_history: bool, no_predictions: bool, no_artifacts: bool, weights: bool
) -> None:
    """Pack the records in each FOLDER, without checkpoints, logs and scans, into one file to share.

    Whoever imports it gets the same leaderboard. The same records give the same bytes. Environment records name the
    host, its processor and the versions that ran.
    """
    from harness.records.archive import export_records

    count = export_records(
        suites,
        file,
        history=not no_history,
        predictions=not no_predictions,
        artifacts=not no_artifacts,
        weights=weights,
    )
    log.info("%s: %d records, %.2f MB", file, count, file.stat().st_size / 1e6)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@runs_option
def import_command(file: Path, runs: Path) -> None:
    """Unpack the records in FILE, which somebody exported, into RUNS/<suite>.

    Records that are there already and equal are kept; where one differs, nothing is imported and all such are named.
    """
    from harness.records.archive import import_records
    from harness.suite.load import load_suite

    imported = import_records(file, runs, lambda path: load_suite(path).suite.hash)
    for root, added, kept in imported:
        log.info("%s: %d records added, %d were there already", root, added, kept)
    log.info("next: harness leaderboard %s", " or ".join(shlex.quote(str(each.root)) for each in imported))


@click.command("verify")
@click.argument(
    "path", metavar="[RUNS | FOLDER | ARCHIVE]", default="runs", type=click.Path(path_type=Path, exists=True)
)
def verify_command(path: Path) -> None:
    """Read every record of the suites in RUNS, of the one in FOLDER, or in ARCHIVE, and name each damaged file.

    Checksums are compared, and what they stand for: ids, names, versions, and files that a result says there are.
    """
    from harness.records.archive import find_archive_flaws
    from harness.records.archive_members import unpack_archive
    from harness.records.scored import find_scored_flaws
    from harness.records.temporary import temporary_folder
    from harness.records.verification import find_flaws

    flaws: list[str] = []
    if path.is_file():
        with temporary_folder("harness-verify-") as unpacked:
            suites = unpack_archive(path, unpacked)
            flaws += find_archive_flaws(path, unpacked)
        for suite, records in suites.items():
            log.info("%s: %s, %d records", path, suite, len(records))
    else:
        folders = [path] if (path / "suites").is_dir() else sorted(path.glob("*/suites"))
        if not folders:
            raise UsageError(f"{path}: no records here; name the folder of all suites, of one suite, or an export")
        for folder in folders:
            suite_records = SuiteRecords.open(folder if folder == path else folder.parent)
            flaws += find_flaws(suite_records)
            log.info("%s: %d runs", suite_records.root, len(suite_records.runs))
        flaws += find_scored_flaws(path)
    if flaws:
        raise RecordError("\n".join([*flaws, f"{len(flaws)} flaws"]))
    log.info("all whole")


@click.command("clean")
@records_argument
@click.option("--weights", is_flag=True, help="Delete weights.pt too: `predict` then refuses these runs.")
@click.option("--yes", is_flag=True, help="Delete; without it, only show what would be deleted.")
def clean_command(records: SuiteRecords, weights: bool, yes: bool) -> None:
    """Delete the checkpoints of the finished runs in FOLDER; every record stays.

    Runs that failed or are not finished keep their checkpoints. A finished run keeps weights.pt, with which `predict`
    segments new scans, unless --weights is said.
    """
    files = leftovers(records, weights=weights)
    for path, size_bytes in files.items():
        click.echo(f"{size_bytes:>12}  {path}")
    if yes:
        delete(files)
    total = f"{len(files)} files, {sum(files.values()) / 1e6:.1f} MB"
    log.info(f"deleted {total}" if yes else f"would delete {total}; nothing was deleted, say --yes to do so")
