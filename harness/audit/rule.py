"""A rule: its number, what it says and why, and the check that goes through the records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.audit.evidence import nothing_finished
from harness.audit.finding import Finding, Verdict
from harness.audit.records import AuditedSuite

Check = Callable[[AuditedSuite], Verdict]
Needs = Literal["selection", "runs", "environments", "finished", "cases"]


@dataclass(frozen=True)
class Rule:
    """One rule of benchmarks/RULES.md.

    needs: what there must be for the rule to apply.
    check: its docstring says how the rule is checked.
    """

    number: int
    title: str
    reason: str
    needs: Needs
    check: Check

    @property
    def family(self) -> str:
        """The file that holds it: budget, data, selection, ..."""
        return self.check.__module__.rpartition(".")[2]

    def judge(self, suite: AuditedSuite) -> Verdict:
        """Check the rule on the records of a suite."""
        ready = {
            "selection": True,
            "runs": bool(suite.runs),
            "environments": any(run.environment is not None for run in suite.runs),
            "finished": bool(suite.finished),
            "cases": not suite.cases.empty,
        }
        return self.check(suite) if ready[self.needs] else nothing_finished(suite)

    def apply(self, suite: AuditedSuite) -> Finding:
        """What the records of a suite say about it."""
        return Finding(
            number=self.number, family=self.family, title=self.title, reason=self.reason, **vars(self.judge(suite))
        )


def rule(number: int, title: str, reason: str, needs: Needs = "finished") -> Callable[[Check], Rule]:
    """Make a rule of the check that follows."""
    return lambda check: Rule(number, title, reason, needs, check)
