"""The outcome of an audit as data: one finding a rule."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from harness.api.strict import Strict

Status = Literal["held", "not held", "not applicable"]
STATUSES: tuple[Status, ...] = ("held", "not held", "not applicable")


@dataclass(frozen=True)
class Verdict:
    """What a rule's check says.

    evidence: lines with figures, runs and file names; the first one says the most.
    runs:    ids of the runs at fault.
    """

    status: Status
    evidence: tuple[str, ...]
    runs: tuple[str, ...] = ()


class Finding(Strict):
    """One rule and what the records say about it."""

    number: int
    family: str
    title: str
    reason: str = Field(description="why there is such a rule")
    status: Status
    evidence: tuple[str, ...] = Field(description="figures, runs and file names; the first line says the most")
    runs: tuple[str, ...] = Field((), description="ids of the runs at fault")


class Audit(Strict):
    """Every rule in order. runs, finished: of the current selection, and how many of them have a result."""

    schema_version: Literal[2] = 2
    suite: str
    protocol_version: int
    runs: int
    finished: int
    findings: tuple[Finding, ...]

    @property
    def violations(self) -> tuple[Finding, ...]:
        """Rules that are not held."""
        return tuple(finding for finding in self.findings if finding.status == "not held")

    @property
    def counts(self) -> dict[Status, int]:
        """Findings by status, every status named."""
        totals = Counter(finding.status for finding in self.findings)
        return {status: totals[status] for status in STATUSES}

    @property
    def summary(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts.items())
        return f"{self.suite}: {self.finished} of {self.runs} runs finished; {len(self.findings)} rules: {counts}"
