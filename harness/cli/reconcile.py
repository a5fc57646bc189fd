"""`harness reconcile`: the ledgers beside Slurm's own accounts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from harness.cli.options import records_argument
from harness.cli.tables import allocation_table, entry_account_table, print_table

if TYPE_CHECKING:
    from harness.records.reader import SuiteRecords

log = logging.getLogger(__name__)


@click.command("reconcile")
@records_argument
@click.option("--allocations", is_flag=True, help="Also a line per allocation: a job, or one start of a requeued job.")
def reconcile_command(records: SuiteRecords, allocations: bool) -> None:
    """Ask Slurm once (sacct) what it charged for the runs in FOLDER, and show where that time went by their ledgers.

    useful + lost + evaluation + checkpoint + start-up + idle + unexplained = allocation, in GPU-seconds, or in
    CPU-seconds where no GPU was allocated. Unexplained are at most 2 % and 2 s an attempt (where a node died also the
    time until Slurm notices); more is a violation, and exits with 76. The result is kept in reconciliation.json:
    tables, page and audit show it without asking again. Without accounting nothing is reconciled (exit code 69), and
    what an earlier call found stays.
    """
    from harness.api.errors import AuditError, ServiceError
    from harness.reconcile.reconcile import reconcile, summarise

    now, before = reconcile(records), records.reconciliation
    if now.problem is None or before is None or before.problem is not None:
        records.store.write_reconciliation(now)
    if now.entries:
        print_table(*entry_account_table(now.entries))
    if allocations and now.allocations:
        print_table(*allocation_table(now.allocations))
    for line in summarise(now):
        log.info(line)
    if now.problem is not None:
        raise ServiceError(f"not reconciled: {now.problem}")
    if now.violations:
        raise AuditError(f"{len(now.violations)} allocations hold more unexplained time than is tolerated")
