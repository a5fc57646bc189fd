"""`harness list`: what there is."""

from __future__ import annotations

import click

from harness.cli.tables import dataset_table, hyper_table, method_table, print_table, suite_table


@click.command()
@click.option("--method", metavar="NAME", help="Show one method: its hyper-parameters with defaults, bounds, search.")
def command(method: str | None) -> None:
    """List methods, datasets and suites.

    Parameters of a method are counted on a 2D task with one channel and four classes; reference methods are shown
    apart in a leaderboard and never ranked.
    """
    from harness.execution.catalogue import hyper_cards, method_card, method_cards
    from harness.suite.load import SUITES
    from harness.suite.registry import dataset_sources, load_dataset, load_method

    if method:
        print_table(*method_table([method_card(method)]))
        click.echo()
        print_table(*hyper_table(hyper_cards(load_method(method).Params)))
        return
    print_table(*method_table(method_cards()))
    click.echo()
    print_table(*dataset_table([load_dataset(name) for name in sorted(dataset_sources())]))
    click.echo()
    print_table(*suite_table(sorted(SUITES.glob("*.yaml"))))
