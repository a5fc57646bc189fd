"""Goes through the rules of a fair comparison and says, from the records alone, which of them a suite holds."""

from harness.audit.finding import Audit, Finding
from harness.audit.rules import RULES, audit

__all__ = ["RULES", "Audit", "Finding", "audit"]
