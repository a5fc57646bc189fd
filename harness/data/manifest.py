"""Schema of a prepared cache's manifest.json."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import Field

from harness.api.dataset import Case
from harness.api.strict import Strict, digest


class CaseInfo(Strict):
    """One case of a prepared cache."""

    id: str
    patient: str
    split: Literal["train", "val", "test"]
    shape: tuple[int, ...]
    spacing_mm: tuple[float, float, float] | None
    phase: str | None
    phase_source: str | None
    spacing_source: str | None = Field(None, description="how the voxel size is known, where it is")
    sha256: str

    @classmethod
    def about(cls, case: Case, sha256: str) -> CaseInfo:
        """What a manifest says of a case with this `case_sha256`."""
        return cls(
            id=case.id,
            patient=case.patient,
            split=case.split,
            shape=case.image.shape,
            spacing_mm=case.spacing_mm,
            phase=case.phase,
            phase_source=case.phase_source,
            spacing_source=case.spacing_source,
            sha256=sha256,
        )


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
    sha256: str | None = Field(None, description="of all other fields; None in a cache of an earlier version")

    def of(self, split: str) -> list[CaseInfo]:
        """What is said of the cases of one split, in published order of patients."""
        return [case for case in self.cases if case.split == split]

    @property
    def own_sha256(self) -> str:
        """The sha256 that this content has; `checksum` is of the data alone, whatever is said of them."""
        return digest(self.model_dump(mode="json", exclude={"sha256"}))

    @property
    def spacing_source(self) -> str:
        """Where the cases' voxel sizes, and with them millimetres, come from, each with its number of cases."""
        counts = Counter(
            "unknown" if case.spacing_mm is None else case.spacing_source or "the dataset" for case in self.cases
        )
        return "; ".join(f"{source} ({count} of {len(self.cases)} cases)" for source, count in counts.most_common())
