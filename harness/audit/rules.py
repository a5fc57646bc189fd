"""All rules in order, and the audit that applies them."""

from harness.audit import budget, data, engine, environment, metrics, reporting, selection
from harness.audit.finding import Audit, Finding
from harness.audit.records import view_suite
from harness.audit.rule import Rule
from harness.records.reader import SuiteRecords
from harness.records.schema import PROTOCOL_VERSION

FAMILIES = (data, selection, budget, environment, engine, metrics, reporting)
RULES: tuple[Rule, ...] = tuple(
    sorted(
        (value for family in FAMILIES for value in vars(family).values() if isinstance(value, Rule)),
        key=lambda rule: rule.number,
    )
)
"""All rules of these files. benchmarks/RULES.md lists the same ones; a test holds that."""


def audit(records: SuiteRecords) -> Audit:
    """Check every rule on a suite's records. Raises `RecordError`."""
    suite = view_suite(records)
    return Audit(
        suite=records.name,
        protocol_version=PROTOCOL_VERSION,
        runs=suite.planned,
        finished=len(suite.finished),
        findings=tuple(
            Finding(
                number=rule.number, family=rule.family, title=rule.title, reason=rule.reason, **vars(rule.judge(suite))
            )
            for rule in RULES
        ),
    )
