"""From any layout of a dataset to its cache, once."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.api.dataset import Case, Dataset
from harness.api.errors import DataError, DiskError
from harness.api.reading import reading
from harness.data.cache import DEVELOPMENT, TEST, Cache, write_cases
from harness.data.checks import Checked, read_checked
from harness.data.locate import cache_name, locate
from harness.records.manifest import MANIFEST, CaseInfo, Manifest, Preparation, cache_home, data_checksum
from harness.records.temporary import temporary_folder
from harness.records.variables import path_of
from harness.suite.prepared import PreparedDataset

log = logging.getLogger(__name__)


def resolve(dataset: Dataset, data: Path | None) -> Cache:
    """The cache of `dataset`, prepared first if need be (into $HARNESS_CACHE, default ~/.cache/harness).

    data: a prepared cache, or a folder in any layout that the dataset recognises, or one that holds such a folder under
    the
          dataset's name; None means $HARNESS_DATA, and nothing for generated data.

    Raises `DataError` when there is nothing to read or it is flawed, `DiskError`.
    """
    place, folder, layout = _place(dataset, data)
    if place.exists():
        return _opened(dataset, place)
    log.info(f"preparing {dataset.name} ({layout}) {f'from {folder} ' if folder else ''}into {place}")
    return prepare(dataset, folder, place)


def prepared_cache(dataset: Dataset, data: Path | None) -> Cache | None:
    """The cache that `resolve` opens. None where it would have to prepare one. Raises as `resolve`."""
    place, _, _ = _place(dataset, data)
    return _opened(dataset, place) if place.exists() else None


def _place(dataset: Dataset, data: Path | None) -> tuple[Path, Path | None, str]:
    """Where the cache lies or will lie, and the folder and layout from which it is prepared."""
    if isinstance(dataset, PreparedDataset):
        return _prepared_place(dataset, data), None, ""
    if data is None and dataset.layouts:
        data = path_of("HARNESS_DATA")
    if data is None and dataset.layouts:
        raise DataError(
            f"{dataset.name}: no data folder given; pass --data DIR or set HARNESS_DATA, to a prepared cache or to a "
            f"folder in one of the layouts\n{_signs(dataset)}"
        )
    with reading(data or dataset.name):
        if data is not None and _is_cache(dataset, data):
            return data, None, ""
        folder, layout = _source(dataset, data)
        return cache_home() / cache_name(dataset, folder), folder, layout


def _prepared_place(dataset: PreparedDataset, data: Path | None) -> Path:
    if data is None or (data / MANIFEST).is_file():
        return data or dataset.cache
    raise DataError(f"{data}: no prepared cache; {dataset.name} lies in {dataset.cache}: leave --data out")


def prepare(dataset: Dataset, root: Path | None, destination: Path) -> Cache:
    """Read, check and write `dataset` as a cache into the folder `destination`, which appears whole or not at all.

    A cache of the same data that is already there is kept. Raises `DataError` with all problems at once, or when
    `destination` holds anything else; and `DiskError`.
    """
    refuse_occupied(destination)
    folder, layout = _source(dataset, root)
    with reading(folder or dataset.name):
        sources = dataset.sources(folder)
    return write_cache(dataset, layout, folder, read_checked(dataset, sources), destination)


def write_cache(
    dataset: Dataset,
    layout: str,
    folder: Path | None,
    checked: Checked,
    destination: Path,
    preparation: Preparation | None = None,
) -> Cache:
    """Write checked cases that were read from `folder`, and warn of what is odd; raises as `prepare`."""
    # without the folder: warnings go into tables and pages, which others read
    checked = replace(checked, warnings=tuple(line.replace(f"{folder}{os.sep}", "") for line in checked.warnings))
    for warning in checked.warnings:
        log.warning(warning)
    manifest = _manifest(dataset, layout, checked, preparation)
    if any(case.spacing_source for case in manifest.cases):
        log.info(f"{dataset.name}: voxel size from {manifest.spacing_source}")
    cache = _publish(manifest, checked.cases, destination)
    if (held := cache.manifest).checksum != manifest.checksum:
        raise DataError(
            f"{destination}: holds other data, {len(held.cases)} cases of {held.dataset} with checksum "
            f"{held.checksum[:10]}; those of {folder or dataset.name} are {len(manifest.cases)} with "
            f"{manifest.checksum[:10]}. Prepare them under another name, or delete this one where no suite needs it"
        )
    return cache


def _source(dataset: Dataset, root: Path | None) -> tuple[Path | None, str]:
    if not dataset.layouts:
        if root is not None:
            raise DataError(f"{dataset.name}: is generated and reads no folder; leave out {root}")
        return None, "generated"
    if root is None:
        raise DataError(f"{dataset.name}: no folder given; it is read from one of the layouts\n{_signs(dataset)}")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the folder that holds {dataset.name}")
    try:
        located = locate(dataset, root)
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error}); mend its permissions") from error
    if located is None:
        raise DataError(
            f"{root}: neither a prepared cache nor a known layout of {dataset.name}; looked here and in a folder named "
            f"{dataset.folder or dataset.name} for\n{_signs(dataset)}"
        )
    return located


def _signs(dataset: Dataset) -> str:
    signs = ((layout, dataset.layout_signs.get(layout)) for layout in dataset.layouts)
    return "\n".join(f"  {layout}: {sign}" if sign else f"  {layout}" for layout, sign in signs)


def _is_cache(dataset: Dataset, folder: Path) -> bool:
    return (folder / MANIFEST).is_file() and dataset.recognise(folder) is None


def _opened(dataset: Dataset, folder: Path) -> Cache:
    """The cache in `folder`, if it is one of `dataset` as this version reads it."""
    cache = Cache.open(folder)
    manifest, wanted = cache.manifest, f"{dataset.name} version {dataset.version}"
    if (manifest.dataset, manifest.version) != (dataset.name, dataset.version):
        raise DataError(
            f"{folder}: holds {manifest.dataset} version {manifest.version}, not {wanted}; prepare {dataset.name} again"
        )
    return cache


def refuse_occupied(destination: Path) -> None:
    """Raise `DataError` unless `destination` is absent, empty or a cache."""
    if destination.is_dir() and ((destination / MANIFEST).is_file() or not any(destination.iterdir())):
        return
    if os.path.lexists(destination):
        raise DataError(f"{destination}: exists and is not a cache; choose another folder")


def _manifest(dataset: Dataset, layout: str, checked: Checked, preparation: Preparation | None) -> Manifest:
    splits = {str(split): list(patients) for split, patients in dataset.splits.items()}
    hashes = checked.sha256
    manifest = Manifest(
        dataset=dataset.name,
        version=dataset.version,
        layout=layout,
        track=dataset.track,
        classes=list(dataset.classes),
        checksum=data_checksum(dataset.name, dataset.version, dataset.classes, splits, hashes.values()),
        splits=splits,
        cases=[CaseInfo.about(case, hashes[case.id]) for case in checked.cases],
        warnings=list(checked.warnings),
        preparation=preparation,
    )
    return manifest.model_copy(update={"sha256": manifest.own_sha256})


def _publish(manifest: Manifest, cases: Sequence[Case], destination: Path) -> Cache:
    """Write the cache beside `destination` and rename it there; another process may have done so first."""
    with _aside(destination) as folder:
        write_cases(folder / DEVELOPMENT, (case for case in cases if case.split != "test"))
        write_cases(folder / TEST, (case for case in cases if case.split == "test"))
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        _sync(folder)
        try:
            folder.rename(destination)
        except OSError:
            if not (destination / MANIFEST).is_file():
                raise
    return Cache.open(destination)


@contextmanager
def _aside(destination: Path) -> Iterator[Path]:
    """A new folder beside `destination` that is removed unless it was renamed; disk errors name the destination."""
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(f".{destination.name}.", destination.parent) as folder:
            yield folder
    except OSError as error:
        raise DiskError(
            f"{destination}: cannot be written ({error}); free some space there, or choose another folder "
            "(HARNESS_CACHE is where --data prepares to)"
        ) from error


def _sync(folder: Path) -> None:
    """So that the rename never publishes half of a file."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
