"""Checks the rules of a fair comparison on a suite's records alone."""

from harness.audit.finding import Audit, Finding
from harness.audit.rules import RULES, audit

__all__ = ["RULES", "Audit", "Finding", "audit"]
