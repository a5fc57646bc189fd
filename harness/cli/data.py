"""`harness data`: prepare, verify, list."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from harness.cli.options import PATH

log = logging.getLogger(__name__)


@click.group("data")
def data_command() -> None:
    """Prepare data once, verify what was prepared, list what there is."""


@data_command.command()
@click.argument("name")
@click.option("--from", "source", type=PATH, envvar="HARNESS_DATA", show_envvar=True, help="Raw scans, as published.")
@click.option("--to", "destination", type=PATH, help="A new folder; default: one by checksum in $HARNESS_CACHE.")
def prepare(name: str, source: Path | None, destination: Path | None) -> None:
    """Check dataset NAME, name all its flaws at once, write it as one cache and print the cache's folder."""
    from harness.data import prepare as preparing
    from harness.suite.registry import load_dataset

    dataset = load_dataset(name)
    cache = preparing.prepare(dataset, source, destination) if destination else preparing.resolve(dataset, source)
    manifest = cache.manifest
    splits = ", ".join(f"{len(patients)} {split}" for split, patients in manifest.splits.items())
    track = f" track {manifest.track}," if manifest.track else ""
    log.info(f"{name}:{track} {len(manifest.cases)} cases, patients: {splits}; checksum {manifest.checksum[:10]}")
    click.echo(cache.folder)


@data_command.command()
@click.argument("folder", type=PATH)
def verify(folder: Path) -> None:
    """Hash every case of the cache in FOLDER again and compare with its manifest."""
    from harness.api.errors import DataError
    from harness.data.cache import Cache
    from harness.data.checks import verify as problems_of

    if problems := problems_of(cache := Cache.open(folder)):
        raise DataError("\n".join(problems))
    log.info(f"{folder}: {len(cache.manifest.cases)} cases of {cache.manifest.dataset} as prepared")


@data_command.command(name="list")
def list_() -> None:
    """List datasets with their splits and layouts, and the caches that are prepared."""
    from harness.cli.tables import cache_table, dataset_table, print_table
    from harness.data.locate import cache_home
    from harness.suite.registry import load_datasets

    print_table(*dataset_table(load_datasets()))
    click.echo()
    print_table(*cache_table(sorted(cache_home().glob("*/manifest.json"))))
