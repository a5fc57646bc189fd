"""Datasets that no code describes, but the manifest of their prepared cache."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from harness.api.dataset import CaseSource, Dataset, Split
from harness.api.errors import DataError
from harness.records.manifest import MANIFEST, Preparation, cache_home, read_manifest

VERSION = 1
"""Of all of them: their checksum says which data they are."""


class PreparedDataset(Dataset):
    """What is known of a dataset without its files; checksum: of its cases and splits, None while they are read."""

    version = VERSION
    cache: ClassVar[Path]
    checksum: ClassVar[str | None] = None

    def sources(self, root: Path | None) -> Sequence[CaseSource]:
        raise DataError(f"{self.name}: is read from its cache; prepare it with `harness data prepare --from DIR`")


def describe(
    name: str,
    preparation: Preparation,
    classes: Sequence[str],
    splits: Mapping[Split, tuple[str, ...]],
    unlabelled: tuple[str, ...],
    checksum: str | None = None,
) -> PreparedDataset:
    members: dict[str, Any] = {
        "name": name,
        "dimension": preparation.dimension,
        "channels": len(preparation.channels),
        "classes": tuple(classes),
        "splits": splits,
        "unlabelled": unlabelled,
        "cache": prepared_home() / name,
        "checksum": checksum,
    }
    described: PreparedDataset = type("Described", (PreparedDataset,), members)()
    return described


def prepared_home() -> Path:
    """The folder of all prepared datasets that no code describes, each in one of its name."""
    return cache_home() / "prepared"


def prepared_names() -> list[str]:
    return sorted(path.parent.name for path in prepared_home().glob(f"*/{MANIFEST}"))


def prepared_dataset(name: str) -> PreparedDataset:
    """The prepared dataset of this name. Raises `DataError` where its manifest is damaged or another one's."""
    folder = prepared_home() / name
    manifest = read_manifest(folder / MANIFEST)
    if manifest.dataset != name or manifest.preparation is None:
        raise DataError(f"{folder}: holds {manifest.dataset}, which is no dataset prepared under this name; move it")
    splits: Mapping[Split, tuple[str, ...]] = {
        "train": tuple(manifest.splits["train"]),
        "val": tuple(manifest.splits["val"]),
        "test": tuple(manifest.splits["test"]),
    }
    return describe(name, manifest.preparation, manifest.classes, splits, manifest.unlabelled, manifest.checksum)
