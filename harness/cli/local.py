"""What `run` does on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.options import say

if TYPE_CHECKING:
    from harness.execution.outcome import Outcome
    from harness.execution.run import ExecuteSettings
    from harness.execution.session import Session
    from harness.train.stop import StopFlag


def train_here(session: Session, settings: ExecuteSettings, stop: StopFlag) -> tuple[Session, list[Outcome]]:
    """Search and finals on this machine; a unit that an ended job of Slurm's held on another host is free at once."""
    from harness.execution.run import execute
    from harness.slurm.leases import free_leases

    outcomes: list[Outcome] = []
    free_leases(session.store.by_id(unit) for unit in session.named)
    if session.plan.loaded.suite.search is not None:
        from harness.search.run import run_search

        session, outcomes = run_search(session, settings, stop)
    if session.plan.finals:
        say(f"{session.store.root}: {session.outlook}, each {session.plan.budget}")
        outcomes += execute(session, settings, stop)
    return session, outcomes
