"""What a check says, and the outcome of an audit as data: one finding a rule."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from harness.api.strict import Strict
from harness.audit.records import SelectedRun

Status = Literal["held", "not held", "not applicable"]
STATUSES: tuple[Status, ...] = ("held", "not held", "not applicable")


NAMED = 3
"""Runs that a line of evidence names before it counts the others."""


@dataclass(frozen=True)
class Verdict:
    """What a rule's check says.

    evidence: lines with figures, runs and file names; the first one says the most.
    runs:    ids of the runs at fault.
    """

    status: Status
    evidence: tuple[str, ...]
    runs: tuple[str, ...] = ()


def held(*evidence: str) -> Verdict:
    return Verdict("held", evidence)


def not_held(runs: Sequence[SelectedRun], head: str, *lines: str) -> Verdict:
    """These runs violate the rule. The first line names them where no further line does."""
    first = f"{head}: {name_runs(runs)}" if runs and not lines else head
    return Verdict("not held", (first, *lines), tuple(dict.fromkeys(run.id for run in runs)))


def not_held_by_results(runs: Sequence[SelectedRun], head: str, lines: Iterable[str]) -> Verdict:
    """These runs violate the rule by what their result.json says. Each run has a line."""
    return not_held(runs, head, *(f"{run.name}/result.json: {line}" for run, line in zip(runs, lines, strict=True)))


def held_unless(runs: Sequence[SelectedRun], head: str) -> Verdict:
    """These runs violate the rule; without any, the rule is held and there is no evidence."""
    return not_held(runs, head) if runs else held()


def not_applicable(*evidence: str) -> Verdict:
    """The rule has nothing to judge; the evidence says why."""
    return Verdict("not applicable", evidence)


def combine(*verdicts: Verdict) -> Verdict:
    """Combine verdicts: not held if any is not held, else held if any is held. Evidence follows in that order."""
    order = {"not held": 0, "held": 1, "not applicable": 2}
    ranked = sorted(verdicts, key=lambda verdict: order[verdict.status])
    evidence = tuple(line for verdict in ranked for line in verdict.evidence)
    runs = tuple(dict.fromkeys(run for verdict in ranked for run in verdict.runs))
    return Verdict(ranked[0].status, evidence, runs)


def name_runs(runs: Sequence[SelectedRun]) -> str:
    """The first few runs by name, the others counted."""
    named = ", ".join(run.name for run in runs[:NAMED])
    return f"{named} and {len(runs) - NAMED} more" if len(runs) > NAMED else named


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
        return tuple(finding for finding in self.findings if finding.status == "not held")

    @property
    def summary(self) -> str:
        statuses = [finding.status for finding in self.findings]
        counts = ", ".join(f"{statuses.count(status)} {status}" for status in STATUSES)
        return f"{self.suite}: {self.finished} of {self.runs} runs finished; {len(self.findings)} rules: {counts}"
