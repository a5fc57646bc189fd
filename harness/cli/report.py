"""The views that a run leaves behind: tables and MLflow."""

from __future__ import annotations

from typing import Literal

import click

from harness.cli.options import say
from harness.spec.errors import RecordError, ServiceError
from harness.store import RunStore


def show_leaderboard(store: RunStore, form: Literal["text", "csv", "markdown"] = "text") -> None:
    """Write the tables of a suite into its records and print them on standard output."""
    from rich.console import Console

    from harness.rank.board import read_board
    from harness.rank.render import markdown, show, terminal_text
    from harness.rank.write import write_leaderboard
    from harness.report.centers import write_center_pictures

    board = read_board(store)
    write_leaderboard(store, board)
    write_center_pictures(store)
    console = Console()
    if form == "csv":
        click.echo(board.rows.to_csv(index=False, lineterminator="\n"), nl=False)
    elif form == "markdown":
        click.echo(markdown(board), nl=False)
    elif console.is_terminal:
        show(board, console)
    else:
        click.echo(terminal_text(board), nl=False)
    say(f"tables and curves: {store.leaderboard}")


def track_or_warn(store: RunStore, tracking_uri: str | None) -> None:
    """Mirror records into MLflow; what goes wrong is a warning, since the records are safe and `track` works later."""
    from harness.report.centers import draw_unit
    from harness.track import track_store

    try:
        say(track_store(store, tracking_uri, say, draw_unit).summary)
    except (ServiceError, RecordError) as error:
        say(f"warning: {error}")
