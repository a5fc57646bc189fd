"""`harness data`: prepare, verify, list."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import say

FOLDER = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Prepare data once, verify what was prepared, list what there is."""


@command.command()
@click.argument("name")
@click.option("--from", "source", type=FOLDER, envvar="HARNESS_DATA", show_envvar=True, help="Raw scans, as published.")
@click.option("--to", "destination", type=FOLDER, help="A new folder; default: one by checksum in $HARNESS_CACHE.")
def prepare(name: str, source: Path | None, destination: Path | None) -> None:
    """Check dataset NAME, write it as one cache, print the cache's folder. All flaws are named at once."""
    from harness.data import prepare as preparing
    from harness.suite.registry import load_dataset

    dataset = load_dataset(name)
    cache = preparing.prepare(dataset, source, destination) if destination else preparing.resolve(dataset, source, say)
    splits = ", ".join(f"{len(patients)} {split}" for split, patients in cache.manifest.splits.items())
    track = f" track {cache.manifest.track}," if cache.manifest.track else ""
    say(
        f"{name}:{track} {len(cache.manifest.cases)} cases, patients: {splits}; checksum {cache.manifest.checksum[:10]}"
    )
    for warning in cache.manifest.warnings if destination else ():
        say(f"warning: {warning}")
    click.echo(cache.folder)


@command.command()
@click.argument("folder", type=FOLDER)
def verify(folder: Path) -> None:
    """Hash every case of the cache in FOLDER again and compare with its manifest."""
    from harness.api.errors import DataError
    from harness.data.cache import Cache
    from harness.data.checks import verify as problems_of

    if problems := problems_of(cache := Cache.open(folder)):
        raise DataError("\n".join(problems))
    say(f"{folder}: {len(cache.manifest.cases)} cases of {cache.manifest.dataset} as prepared")


@command.command(name="list")
def list_() -> None:
    """List datasets with their splits and layouts, and the caches that are prepared."""
    from harness.cli.tables import cache_table, dataset_table, print_table
    from harness.data.locate import cache_home
    from harness.suite.registry import dataset_sources, load_dataset

    print_table(*dataset_table([load_dataset(name) for name in sorted(dataset_sources())]))
    click.echo()
    print_table(*cache_table(sorted(cache_home().glob("*/manifest.json"))))
