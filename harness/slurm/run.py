"""`run --executor slurm`: submits what is missing and neither queued nor running, and returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.execution.session import Session
from harness.records.suite_folder import RunStore
from harness.search.run import select_when_over
from harness.slurm.cluster import LoadedCluster
from harness.slurm.draft import Drafter
from harness.slurm.leases import free_leases
from harness.slurm.queue import ask_queue, identified
from harness.slurm.queue_state import Standing, unsettled
from harness.slurm.record import Submission, Submissions
from harness.slurm.submit import Submitter, submitting
from harness.suite.load import load_suite


@dataclass(frozen=True)
class SlurmRun:
    """The session, with its finals once a search is over, and what is left.

    queued:  units that wait or run now, those just submitted among them.
    missing: units that were left alone.
    named:   the finals among them, which a selection has just named where nothing can be submitted: in a container.
    """

    session: Session
    queued: int
    missing: int
    named: bool = False

    @property
    def over(self) -> bool:
        """Every unit has a result."""
        return not self.queued and not self.missing


def superseded(suite: str, runs: Path) -> bool:
    """Whether a later version of the suite was opened in its run directory.

    The job behind an earlier one's arrays must not turn back what the later one has named or selected.
    """
    loaded = load_suite(suite).suite
    store = RunStore(runs / loaded.name)
    points = store.points()  # rewritten whenever a version is opened, once they are there
    if points is not None:
        return points.suite_hash != loaded.hash
    return store.selection_path.exists() and store.selection().suite_hash != loaded.hash


def run_on_slurm(
    session: Session,
    cluster: LoadedCluster,
    checkpoint_seconds: float,
    say: Callable[[str], None],
    *,
    finishing: bool,
    panels: bool | None = None,
) -> SlurmRun:
    """Select where the search is over, then submit.

    finishing: called by the job behind the arrays, which submits what a selection has named, and nothing again: what
    keeps dying must not keep coming back by itself.
    """
    submissions = Submissions(session.store)
    with submitting(submissions) as still_alone:
        finals = bool(session.plan.finals)
        session = select_when_over(session, say)
        pending = session.pending()
        if not pending:
            return SlurmRun(session, 0, 0)
        if finishing and cluster.cluster.container is not None:  # no command of Slurm's is in there
            return SlurmRun(session, 0, len(pending), named=bool(session.plan.finals) and not finals)
        open_ones = unsettled(submissions)
        queue = ask_queue(open_ones)
        known = identified(open_ones, queue)
        for one in (one for one in known if one not in open_ones):
            submissions.write(one)
        folders = [session.folder(unit) for unit in pending]
        free_leases(folders)
        held = {folder.id for folder in folders if folder.lease.held()}
        standing = Standing.of(pending, known, queue, held)
        fresh = standing.missing
        if finishing:
            submitted = _submitted(session, known)
            fresh = tuple(unit for unit in fresh if unit.id not in submitted)
        active = {task.array for (_, index), task in queue.items() if index is not None and task.active}
        followed = any(index is None and task.active for (_, index), task in queue.items())
        drafter = Drafter(session.plan, session.store, session.cache.folder, cluster, checkpoint_seconds, panels)
        submitter = Submitter(drafter, say, still_alone)
        if fresh:
            submitter.submit(fresh, sorted(active))
        elif active and not (finishing or followed):  # it was refused, or its submitter died before it
            submitter.follow(sorted(active))
        return SlurmRun(session, len(standing.queued) + len(fresh), len(standing.missing) - len(fresh))


def _submitted(session: Session, known: Sequence[Submission]) -> frozenset[str]:
    """Ids of the units that this version of the suite has submitted."""
    suite = session.plan.loaded.suite.hash
    return frozenset(unit for one in known if one.suite == suite for bundle in one.bundles for unit in bundle)
