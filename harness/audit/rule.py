"""A rule: its number, what it says and why, and the check that goes through the records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.audit.finding import Finding, Verdict
from harness.audit.records import SuiteRecords

Check = Callable[[SuiteRecords], Verdict]


@dataclass(frozen=True)
class Rule:
    """One rule of benchmarks/RULES.md.

    practices: numbers of the unfair practices, listed at the end of that page, that it answers.
    check:     its docstring says how the rule is checked.
    """

    number: int
    title: str
    reason: str
    practices: tuple[int, ...]
    check: Check

    @property
    def family(self) -> str:
        """The file that holds it: budget, data, selection, ..."""
        return self.check.__module__.rpartition(".")[2]

    def apply(self, suite: SuiteRecords) -> Finding:
        """What the records of a suite say about it."""
        found = self.check(suite)
        return Finding(
            number=self.number,
            family=self.family,
            title=self.title,
            reason=self.reason,
            status=found.status,
            evidence=found.evidence,
            units=found.units,
        )


def rule(number: int, title: str, reason: str, practices: tuple[int, ...] = ()) -> Callable[[Check], Rule]:
    """Make a rule of the check that follows."""
    return lambda check: Rule(number, title, reason, practices, check)
