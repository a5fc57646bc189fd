"""The views that a run leaves behind: tables, the page and MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.api.errors import RecordError, ServiceError
from harness.cli.options import say
from harness.records.reader import SuiteRecords
from harness.records.suite_folder import RunStore

if TYPE_CHECKING:
    from harness.data.cache import Cache

MOST_AUDITED = 500
"""Units up to which a page is written with its audit, which reads every step of every unit."""


def show_leaderboard(
    store: RunStore, form: Literal["text", "csv", "markdown"] = "text", cache: Cache | None = None
) -> None:
    """Write tables and page of a suite into its records and print the tables on standard output.

    cache: the suite's data, for pictures of test cases; None leaves them out.
    """
    from rich.console import Console

    from harness.audit import audit
    from harness.leaderboard.leaderboard import build_leaderboard
    from harness.leaderboard.render import markdown, show, terminal_text
    from harness.leaderboard.write import write_leaderboard
    from harness.report import PageSettings, write_page
    from harness.report.crossing_figure import write_search_picture

    records = SuiteRecords(store)
    board = build_leaderboard(records)
    write_leaderboard(board, store.leaderboard)
    write_search_picture(board, store.leaderboard)
    found = audit(records) if len(store.selected()) <= MOST_AUDITED else None
    page = write_page(records, board, PageSettings(cache=cache, audit=found))
    console = Console()
    if form == "csv":
        click.echo(board.results.to_csv(index=False, lineterminator="\n"), nl=False)
    elif form == "markdown":
        click.echo(markdown(board), nl=False)
    elif console.is_terminal:
        show(board, console)
    else:
        click.echo(terminal_text(board), nl=False)
    say(f"tables and curves: {store.leaderboard}\npage: {page}")


def data_of(store: RunStore, data: Path | None) -> Cache:
    """The cache of the data that a suite's units were trained on, found as `harness run` finds it."""
    from harness.data.prepare import resolve
    from harness.suite.registry import load_dataset

    asked = next((folder.unit for folder in store.selected() if folder.done), None)
    if asked is None:
        raise RecordError(f"{store.root}: no unit has ended yet, so there is nothing to picture")
    return resolve(load_dataset(asked.dataset.name), data, say)


def track_or_warn(store: RunStore, tracking_uri: str | None) -> None:
    """Mirror records into MLflow; what goes wrong is a warning, since the records are safe and `track` works later."""
    from harness.tracking import track

    try:
        say(track(SuiteRecords(store), tracking_uri).summary)
    except (ServiceError, RecordError) as error:
        say(f"warning: {error}")
