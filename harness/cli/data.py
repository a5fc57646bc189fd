"""What there is and what works on this machine: `harness data`, `list` and `doctor`."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import click

from harness.api.errors import DataError, ServiceError, UsageError, suggest
from harness.cli.options import PATH, Spacing, data_option, millimetres, runs_option, tracking_option
from harness.cli.tables import cache_table, dataset_table, print_table, suite_table
from harness.records.schema import Engine
from harness.records.untrusted_text import without_controls
from harness.suite.load import SUITES
from harness.suite.prepared import prepared_names
from harness.suite.registry import dataset_sources, load_dataset, load_datasets, load_method

log = logging.getLogger(__name__)

DATASET_JSON = "dataset.json"
_DIMENSIONS: dict[str, Literal[2, 3]] = {"2": 2, "3": 3}


@click.group("data")
def data_command() -> None:
    """Prepare data once, verify what was prepared, list what there is."""


@data_command.command()
@click.argument("name", required=False)
@click.option(
    "--from", "source", type=PATH, envvar="HARNESS_DATA", show_envvar=True,
    help="Raw scans: of a dataset of the harness as published, else in nnU-Net's raw format.",
)  # fmt: skip
@click.option("--to", "destination", type=PATH, help="A new folder; default: one in $HARNESS_CACHE.")
@click.option("--dimension", type=click.Choice(["2", "3"]), help="nnU-Net's format: 2 trains on slices, 3 on patches.")
@click.option(
    "--spacing-mm", callback=millimetres, metavar="X,Y,Z",
    help="nnU-Net's format: voxel size of files whose header says none, along their axes.",
)  # fmt: skip
@click.option(
    "--resample/--no-resample", default=None,
    help="nnU-Net's format: bring volumes to the median voxel size; default: where all voxel sizes are known.",
)  # fmt: skip
@click.option(
    "--patient", metavar="REGEX",
    help="nnU-Net's format: finds the patient at the start of a case's id, so that scans of one stay together.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, help="nnU-Net's format: of the splits that are drawn.")
def prepare(
    name: str | None,
    source: Path | None,
    destination: Path | None,
    dimension: Literal["2", "3"] | None,
    spacing_mm: Spacing | None,
    resample: bool | None,
    patient: str | None,
    seed: int,
) -> None:
    """Check a dataset, name all its flaws at once, write it as one cache and print the cache's folder.

    NAME is a dataset of the harness, or a new name for scans in nnU-Net's raw format (dataset.json, imagesTr, labelsTr;
    imagesTs with labelsTs are the test split; images without labels, in imagesTr or imagesUn, join the unlabelled
    ones). Without NAME such scans are called after their folder.
    """
    from harness.data import prepare as preparing
    from harness.data.own import prepare as own

    choices = own.Choices(_DIMENSIONS.get(dimension or ""), spacing_mm, resample, patient, seed)
    known = dataset_sources()
    if source is not None and name not in known and (source / DATASET_JSON).is_file():
        name = name or own.name_of(source)
        cache = own.prepare_scans(source, name, choices, destination)
    elif name is None or (source is not None and name not in {*known, *prepared_names()}):
        raise UsageError(
            f"{source or 'harness data prepare'}: no {DATASET_JSON} of nnU-Net's raw format; name a folder that holds "
            f"one, or a dataset of the harness: {suggest(name or '', known)}"
        )
    elif choices != own.Choices():
        raise UsageError(
            f"{name}: --dimension, --spacing-mm, --resample, --patient and --seed are for nnU-Net's format"
        )
    else:
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
    from harness.data.cache import Cache
    from harness.data.checks import verify as problems_of

    if problems := problems_of(cache := Cache.open(folder)):
        raise DataError("\n".join(problems))
    log.info(f"{folder}: {len(cache.manifest.cases)} cases of {cache.manifest.dataset} as prepared")


@data_command.command(name="list")
def list_() -> None:
    """List datasets with their splits and layouts, and the caches that are prepared."""
    from harness.records.manifest import MANIFEST, cache_home

    datasets, broken = load_datasets()
    print_table(*dataset_table(datasets))
    click.echo()
    manifests = [path for pattern in ("*", "prepared/*") for path in sorted(cache_home().glob(f"{pattern}/{MANIFEST}"))]
    print_table(*cache_table(manifests))
    warn_of(broken)


@click.command("list")
@click.option(
    "--method",
    metavar="NAME",
    help="Show one method: its hyper-parameters with bounds and search, its stages and hooks.",
)
def list_command(method: str | None) -> None:
    """List methods, datasets and suites.

    Parameters of a method are counted on a 2D task with one channel and four classes. References are shown in a
    leaderboard and never ranked.
    """
    from harness.execution.catalogue import METHOD_COLUMNS, method_lines

    if method:
        show_method(method)
        return
    lines, broken = method_lines()
    print_table(METHOD_COLUMNS, lines, "lllrrll")
    click.echo()
    datasets, more = load_datasets()
    print_table(*dataset_table(datasets))
    click.echo()
    print_table(*suite_table(sorted(SUITES.glob("*.yaml"))))
    warn_of(broken | more)


def warn_of(broken: Mapping[str, str]) -> None:
    """Name the plug-ins that cannot be used, each with its reason; nothing else suffers from them."""
    for name, why in broken.items():
        log.warning("%s cannot be used: %s", name, why)


def show_method(name: str) -> None:
    """All that there is to know of one method."""
    from harness.api.params import Alteration
    from harness.execution import catalogue

    kind = load_method(name)
    print_table(catalogue.METHOD_COLUMNS, [catalogue.method_line(name)], "lllrrll")
    click.echo()
    rows = catalogue.hyper_parameters(kind.Params)
    print_table(("parameter", "default", "bounds", "search", "what"), rows, "lllll")
    click.echo()
    headers = ("stage", "share", "learning rate x", "labelled", "unlabelled", "views")
    print_table(headers, catalogue.stage_lines(kind), "lrrrrr")
    click.echo()
    print_table(catalogue.HOOK_COLUMNS, catalogue.hook_lines(kind), "llllll")
    declared = ", ".join(catalogue.standard(kind).augmentation) or "nothing"
    click.echo(f"\nimages of a step: at the default batch size of {Engine().batch_size}")
    click.echo("values on the device: no host copies there, neither .item() nor .cpu() nor `if` of a tensor")
    click.echo(f"augmentation declared: {declared} (there are: {', '.join(get_args(Alteration))})")


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
        click.echo(without_controls(f"{finding.state:<6}  {finding.what:<8}  {finding.text}"))
        if finding.state == "bad":
            bad.append(finding.what)
    if bad:
        raise ServiceError(f"the core does not work here: {', '.join(bad)}")
