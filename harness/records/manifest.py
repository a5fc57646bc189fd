"""A prepared cache's manifest.json: what is in the cache, and how its images came to be."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from harness.api.dataset import Case
from harness.api.errors import DataError, RecordError
from harness.api.strict import Strict, digest, is_none
from harness.records.variables import path_of

MANIFEST = "manifest.json"
MANIFEST_SCHEMA = 1
LARGEST_MANIFEST = 64 * 1024**2
"""Bytes; that of ACDC, with 200 cases, has 60,000."""

Lengths = tuple[float, float, float]


class CaseInfo(Strict):
    """One case of a prepared cache.

    What is left out of a manifest has the value that cases had before there was such a field.
    """

    id: str
    patient: str
    split: Literal["train", "val", "test"]
    shape: tuple[int, ...] = Field(description="of the label, and of each channel of the image")
    spacing_mm: Lengths | None
    phase: str | None
    phase_source: str | None
    spacing_source: str | None = Field(None, description="how the voxel size is known, where it is")
    sha256: str
    channels: int = Field(1, ge=1, exclude_if=lambda count: count == 1)
    annotated: bool = Field(True, exclude_if=bool, description="False: nobody has labelled it; its label is blank")
    grid: tuple[int, int, int] | None = Field(
        None, exclude_if=is_none, description="the shape at which it is trained on and predicted; None: its own"
    )

    @classmethod
    def about(cls, case: Case, sha256: str) -> CaseInfo:
        """What a manifest says of a case with this `case_sha256`."""
        own = {name: getattr(case, name) for name in cls.model_fields if name not in ("shape", "sha256")}
        return cls(**own, shape=case.label.shape, sha256=sha256)


class Channel(Strict):
    """What became of the grey values of one channel of every scan.

    rule: zscore: (x - mean) / deviation, both of the scan's own channel, over all voxels, in double precision. unit:
          (x - least) / (largest - least) of the scan's own channel. ct: x is clipped to low..high, then
          (x - mean) / deviation; these four numbers serve all scans. none: x.
    """

    name: str
    rule: Literal["zscore", "unit", "ct", "none"]
    low: float | None = Field(None, exclude_if=is_none)
    high: float | None = Field(None, exclude_if=is_none)
    mean: float | None = Field(None, exclude_if=is_none)
    deviation: float | None = Field(None, gt=0, exclude_if=is_none)


class Preparation(Strict):
    """What was done to the files of a folder of scans, in this order, and has to be done to a new scan.

    dimension:   2: trained on slices [Z, H, W]; 3: on patches of volumes [X, Y, Z].
    orientation: RAS: the array's axes run most nearly to the right, anterior, superior. stored: they stay as in the
                 file, since headers do not say directions.
    axes:        those axes in the order of a case's axes: (2, 1, 0) makes [Z, Y, X] of [X, Y, Z].
    channels:    in the order of the image's channels.
    spacing_mm:  along a case's axes: what volumes are resampled to for training and prediction, images linearly (shape
                 round(side * own spacing / this)). None: they are left at their own. Metrics are always native.
    size:        proposed for a suite's `preprocessing`: pixels of a slice, or voxels of a patch.
    patient:     regular expression that took a patient from a case's id; None: each case is a patient.
    """

    source: Literal["nnunet_raw"]
    file_ending: str
    dimension: Literal[2, 3]
    orientation: Literal["RAS", "stored"]
    axes: tuple[int, int, int]
    channels: tuple[Channel, ...] = Field(min_length=1)
    spacing_mm: Lengths | None
    size: tuple[int, ...]
    patient: str | None = None


class Manifest(Strict):
    """manifest.json of a prepared cache."""

    schema_version: Literal[1] = 1
    dataset: str
    version: int
    layout: str
    track: str | None = Field(None, description="which of several ways the cases are cut, where there are several")
    classes: list[str]
    checksum: str
    splits: dict[str, list[str]]
    cases: list[CaseInfo]
    warnings: list[str] = Field(default_factory=list)
    preparation: Preparation | None = Field(
        None, exclude_if=is_none, description="of a dataset that no code but this record describes"
    )
    sha256: str | None = Field(None, description="of all other fields; None in a cache of an earlier version")

    def of(self, split: str) -> list[CaseInfo]:
        """What is said of the cases of one split, in published order of patients."""
        return [case for case in self.cases if case.split == split]

    @property
    def own_sha256(self) -> str:
        """The sha256 that this content has; `checksum` is of the data alone."""
        return digest(self.model_dump(mode="json", exclude={"sha256"}))

    @property
    def own_checksum(self) -> str:
        hashes = (case.sha256 for case in self.cases)
        return data_checksum(self.dataset, self.version, self.classes, self.splits, hashes)

    @property
    def unlabelled(self) -> tuple[str, ...]:
        """Training patients of whom no scan is annotated, in the order of the split."""
        annotated = {case.patient for case in self.cases if case.annotated}
        return tuple(patient for patient in self.splits["train"] if patient not in annotated)

    @property
    def spacing_source(self) -> str:
        """Where the cases' voxel sizes come from, each with its number of cases."""
        counts = Counter(
            "unknown" if case.spacing_mm is None else case.spacing_source or "the dataset" for case in self.cases
        )
        return "; ".join(f"{source} ({count} of {len(self.cases)} cases)" for source, count in counts.most_common())


def data_checksum(
    dataset: str,
    version: int,
    classes: Sequence[str],
    splits: Mapping[str, Sequence[str]],
    cases: Iterable[str],
) -> str:
    """Of dataset and version, classes, splits in order, and the cases' hashes in any order."""
    return digest(
        {
            "dataset": dataset,
            "version": version,
            "classes": list(classes),
            "splits": {split: list(patients) for split, patients in splits.items()},
            "cases": sorted(cases),
        }
    )


def cache_home() -> Path:
    return path_of("HARNESS_CACHE") or Path.home() / ".cache" / "harness"


def read_manifest(path: Path) -> Manifest:
    """Read and validate a manifest. Raises `RecordError` for a newer schema, `DataError` for all else."""
    try:
        if path.stat().st_size > LARGEST_MANIFEST:
            raise ValueError("larger than any manifest is")
        content: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path.parent}: not a prepared cache, it has no {MANIFEST}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: unreadable manifest ({error}); prepare the cache again") from None
    schema = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(schema, int) and schema > MANIFEST_SCHEMA:
        raise RecordError(
            f"{path}: schema_version {schema} is newer than {MANIFEST_SCHEMA}, which this version reads; "
            "upgrade harness or prepare the cache again"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "top level"
        raise DataError(f"{path}: not the manifest of a cache ({where}: {first['msg']})") from None
    if manifest.own_checksum != manifest.checksum:
        raise DataError(f"{path}: checksum does not belong to its cases and splits; delete the cache and prepare again")
    if manifest.sha256 not in (None, manifest.own_sha256):
        raise DataError(f"{path}: damaged, it is not what its sha256 is of; delete the cache and prepare again")
    return manifest
