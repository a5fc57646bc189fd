"""`harness audit`: which rules of a fair comparison a suite holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import runs_option, say, suite_option

if TYPE_CHECKING:
    from harness.audit import Audit


@click.command()
@suite_option
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Print all findings as JSON instead of text.")
def command(suite: str, runs: Path, as_json: bool) -> None:
    """Go through the rules of benchmarks/RULES.md and say for each, from the records alone, whether the suite holds it.

    held, not held or not applicable, with the evidence: figures, units, files. Rules that no record can show are not
    applicable and say so. Exits with 76 if a rule is not held.
    """
    from harness.api.errors import AuditError
    from harness.audit import audit
    from harness.records.reader import SuiteRecords
    from harness.suite.recorded import open_records

    found = audit(SuiteRecords(open_records(suite, runs)))
    click.echo(found.model_dump_json(indent=1) if as_json else text(found))
    say(found.summary)
    if found.breaches:
        raise AuditError("not held: " + "; ".join(f"{one.number}. {one.title}" for one in found.breaches))


def text(found: Audit) -> str:
    """A block a rule: number, status, title, and its evidence below."""
    lines = []
    for finding in found.findings:
        lines.append(f"{finding.number:2d}  {finding.status:<14}  {finding.title}")
        lines += [f"{'':20}{evidence}" for evidence in finding.evidence]
    return "\n".join(lines)
