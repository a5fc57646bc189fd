"""Schema of a prepared cache's manifest.json."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import Field

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
