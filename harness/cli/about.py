"""What there is and what works on this machine: `harness list` and `doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.api.errors import ServiceError
from harness.cli.options import data_option, runs_option, tracking_option
from harness.cli.tables import dataset_table, hyper_table, method_table, print_table, suite_table


@click.command("list")
@click.option("--method", metavar="NAME", help="Show one method: its hyper-parameters with defaults, bounds, search.")
def list_command(method: str | None) -> None:
    """List methods, datasets and suites.

    Parameters of a method are counted on a 2D task with one channel and four classes. References are shown in a
    leaderboard and never ranked.
    """
    from harness.execution.catalogue import hyper_cards, method_card, method_cards
    from harness.suite.load import SUITES
    from harness.suite.registry import load_datasets, load_method

    if method:
        print_table(*method_table([method_card(method)]))
        click.echo()
        print_table(*hyper_table(hyper_cards(load_method(method).Params)))
        return
    print_table(*method_table(method_cards()))
    click.echo()
    print_table(*dataset_table(load_datasets()))
    click.echo()
    print_table(*suite_table(sorted(SUITES.glob("*.yaml"))))


@click.command("doctor")
@data_option
@runs_option
@tracking_option
def doctor_command(data: Path | None, runs: Path, tracking_uri: str | None) -> None:
    """Check versions, device, disk, data, tracking, Ray and Slurm; one line each.

    ok: it works. absent: a service that only some verbs need. bad: the core does not work (exit code 69).
    """
    from harness.doctor import examine

    bad = []
    for finding in examine(data, runs, tracking_uri):
        click.echo(f"{finding.state:<6}  {finding.what:<8}  {finding.text}")
        if finding.state == "bad":
            bad.append(finding.what)
    if bad:
        raise ServiceError(f"the core does not work here: {', '.join(bad)}")
