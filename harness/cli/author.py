"""What an author of a method needs: `harness new`, and `harness errors`."""

import logging
from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.options import PATH, records_argument
from harness.records.reader import SuiteRecords
from harness.records.untrusted_text import without_controls

log = logging.getLogger(__name__)

to_option = click.option("--to", type=PATH, default=Path(), show_default="here", help="Folder in which it is made.")


@click.group("new")
def new_command() -> None:
    """Write a method or a suite to begin with. What exists is never overwritten."""


@new_command.command("method")
@click.argument("name")
@to_option
def method_(name: str, to: Path) -> None:
    """Write package NAME: a method that trains, its test, and a suite that trains it beside the demo's methods."""
    from harness.scaffold import new_method

    folder = new_method(name, to)
    click.echo(folder)
    log.info(
        "a mean teacher with strong views, until you replace its loss in %s\nnext:\n    pip install -e %s\n"
        "    harness check %s\n    harness run --suite %s",
        *(folder / "src" / f"{name}.py", folder, name, folder / f"{name}_demo.yaml"),
    )


@new_command.command("suite")
@click.argument("name")
@click.option("--like", default="demo", metavar="SUITE", help="What is copied: a shipped suite, or a YAML file.")
@click.option("--method", "methods", multiple=True, metavar="NAME", help="A method that is added; may be repeated.")
@to_option
def suite_(name: str, like: str, methods: Sequence[str], to: Path) -> None:
    """Write suite NAME, NAME.yaml: a copy of another suite, with methods of your own."""
    from harness.scaffold import new_suite
    from harness.suite.registry import load_method

    for method in methods:
        load_method(method)  # a typo is refused with the nearest name
    path = new_suite(name, methods, to, like)
    click.echo(path)
    log.info("edit it, then:  harness plan --suite %s", path)


@click.command("errors")
@records_argument
def errors_command(records: SuiteRecords) -> None:
    """Print why runs of the suite in FOLDER failed, with the traceback of each; runs that failed alike together."""
    from harness.records.failures import failures

    every = failures(records)
    for failure in every:
        names = ", ".join(failure.runs)
        click.echo(without_controls(f"{names}\n{failure.kind}: {failure.reason}\n{failure.traceback}"))
    if not every:
        log.info("no run failed")
        return
    count = sum(len(failure.runs) for failure in every)
    log.info("failed: %d, for %d reasons; the same command with --retry-failed trains them again", count, len(every))
