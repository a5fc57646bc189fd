"""A prepared dataset on disk: one folder that loads in seconds.

manifest.json   what is in it, with a sha256 per case
development.h5  training and validation cases
test.h5         test cases, in a file of their own that nothing opens before the selection is recorded
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from harness.api.dataset import Case
from harness.api.errors import ClosedSplitError, DataError
from harness.api.reading import explain, one_line, reading
from harness.data.digests import case_sha256
from harness.data.permit import ScoringPermit, TestPermit, guard
from harness.records.manifest import MANIFEST, CaseInfo, Manifest, read_manifest
from harness.records.schema import DatasetRef

DEVELOPMENT = "development.h5"
TEST = "test.h5"


@dataclass(frozen=True)
class Cache:
    """An opened cache, which reads cases on demand.

    on_violation: called with the reason before an attempt to open the test split too early raises.
    """

    folder: Path
    manifest: Manifest
    on_violation: Callable[[str], None] | None = field(default=None, compare=False)

    @classmethod
    def open(cls, folder: Path, on_violation: Callable[[str], None] | None = None) -> Cache:
        """Open a cache. Raises `DataError` if it is not whole, `RecordError` if a newer version wrote it."""
        cache = cls(folder, read_manifest(folder / MANIFEST), on_violation)
        with reading(folder):
            missing = [name for name in (DEVELOPMENT, TEST) if not (folder / name).is_file()]
        if missing:
            raise DataError(
                f"{folder}: not a whole cache, without {' and '.join(missing)}; delete it and prepare again"
            )
        return cache

    @property
    def reference(self) -> DatasetRef:
        return DatasetRef(name=self.manifest.dataset, version=self.manifest.version, checksum=self.manifest.checksum)

    def cases(self, split: str) -> Iterable[Case]:
        """The cases of "train" or "val", in published order of patients, each checked against its sha256 as it is read.

        Raises `ClosedSplitError` for "test" and `DataError` if a file does not hold what the manifest says.
        """
        if split == "test":
            raise self._violation("test cases were asked for as if they were development cases")
        if split not in ("train", "val"):
            raise DataError(f"{self.folder}: there is no split {split!r}; there are train and val")
        return read_cases(self.folder / DEVELOPMENT, self.manifest.of(split))

    def test_cases(self, permit: TestPermit | ScoringPermit) -> Iterable[Case]:
        """The same of the test cases. Raises `ClosedSplitError` where the permit does not hold."""
        if not isinstance(permit, TestPermit | ScoringPermit):
            raise self._violation("test cases were asked for without a permit")
        if guard() is not None:
            raise self._violation("test cases were asked for while the run trains")
        try:
            permit.check()
        except ClosedSplitError as closed:
            raise self._violation(str(closed)) from None
        return read_cases(self.folder / TEST, self.manifest.of("test"))

    def _violation(self, why: str) -> ClosedSplitError:
        tell = self.on_violation or guard()
        if tell is not None:
            tell(why)
        return ClosedSplitError(f"{self.folder / TEST}: {why}")


def read_cases(path: Path, infos: Sequence[CaseInfo]) -> Iterable[Case]:
    """Read cases from one file of a cache, each checked against its sha256."""
    for case, info in zip(read_unchecked(path, infos), infos, strict=True):
        if case_sha256(case) != info.sha256:
            raise DataError(f"{path}: {info.id} does not match its sha256; delete the cache and prepare again")
        yield case


def read_unchecked(path: Path, infos: Sequence[CaseInfo]) -> Iterable[Case]:
    """Read cases from one file of a cache without hashing them. Raises `DataError` if the file is damaged.

    Raises `ClosedSplitError` for the file of test cases while somebody keeps it closed.
    """
    tell = guard() if path.name == TEST else None
    if tell is not None:
        tell(why := "the file of test cases was read while the run trains")
        raise ClosedSplitError(f"{path}: {why}")
    try:
        # locking=False: network file systems often have no locks, and the file never changes
        with h5py.File(path, "r", locking=False) as file:
            for info in infos:
                yield _case(file, info)
    except PermissionError as error:
        raise DataError(f"{path}: {explain(error)}") from error
    except Exception as error:  # h5py on damaged bytes raises anything
        raise DataError(f"{path}: damaged ({one_line(str(error))}); delete the cache and prepare again") from error


def _case(file: h5py.File, info: CaseInfo) -> Case:
    return Case(
        id=info.id,
        patient=info.patient,
        split=info.split,
        image=file[info.id]["image"][()],
        label=file[info.id]["label"][()] if info.annotated else np.zeros(info.shape, np.uint8),
        spacing_mm=info.spacing_mm,
        phase=info.phase,
        phase_source=info.phase_source,
        annotated=info.annotated,
        grid=info.grid,
    )


def write_cases(path: Path, cases: Iterable[Case]) -> None:
    """Write one file of a cache. Contiguous and uncompressed: that reads six times faster than lzf or gzip.

    HDF5 builds the file in memory: on a full disk it crashes the process, where a plain write raises `OSError`.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for case in cases:
            group = file.create_group(case.id)
            group.create_dataset("image", data=case.image)
            if case.annotated:
                group.create_dataset("label", data=case.label)
    path.write_bytes(memory.getbuffer())
