"""What would be submitted: the jobs and their batch files, without writing or sending anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.api.strict import digest
from harness.records.schema import Unit
from harness.records.suite_folder import RunStore
from harness.slurm.bundles import Bundle
from harness.slurm.cluster import LoadedCluster
from harness.slurm.expected import make_bundles
from harness.slurm.record import Submission, Submissions
from harness.slurm.script import Batch, array_text, finish_text
from harness.suite.plan import Plan


@dataclass(frozen=True)
class Draft:
    """A job to be: its record, still without an id, its batch file, and what its tasks are expected to take."""

    submission: Submission
    text: str
    bundles: tuple[Bundle, ...] = ()


@dataclass(frozen=True)
class Drafter:
    """Drafts jobs for one suite. cache: the data's folder, which must be visible from the nodes."""

    plan: Plan
    store: RunStore
    cache: Path
    loaded: LoadedCluster
    checkpoint_seconds: float = 30.0
    panels: bool | None = None

    def arrays(self, units: Sequence[Unit]) -> list[Draft]:
        """Units in as many arrays as their bundles take; `UsageError` where one does not fit the time limit."""
        names, size = self.plan.names, self.loaded.cluster.max_array_size
        bundles = make_bundles(units, [names[unit.id] for unit in units], self.store, self.loaded)
        parts = [bundles[start : start + size] for start in range(0, len(bundles), size)]
        return [self._array(units, part, number) for number, part in enumerate(parts)]

    def finish(self, unsent: int = 0) -> Draft | None:
        """The job that comes after arrays, `unsent` of which are drafts; None where the cluster file wants none."""
        if self.loaded.cluster.finish is None:
            return None
        submission = self._submission("finish", [], unsent)
        return Draft(submission, finish_text(self._batch(submission)))

    def _array(self, units: Sequence[Unit], bundles: Sequence[Bundle], number: int) -> Draft:
        ids = [[units[index].id for index in bundle.units] for bundle in bundles]
        submission = self._submission("bundles", ids, number)
        return Draft(submission, array_text(self._batch(submission)), tuple(bundles))

    def _submission(self, kind: str, bundles: list[list[str]], number: int) -> Submission:
        """Named after what it is and how many were submitted before, so that no two have one name."""
        before = sum(1 for _ in Submissions(self.store))
        name = digest([str(self.store.root.resolve()), before + number, bundles])[:8]
        return Submission.model_validate(
            {
                "name": f"{self.store.root.name}-{kind}-{name}",
                "kind": kind,
                "suite": self.plan.loaded.suite.hash,
                "cluster": digest(self.loaded.text),
                "cache": str(self.cache.resolve()),
                "bundles": bundles,
                "lanes": self.loaded.cluster.units_at_once,
                "checkpoint_seconds": self.checkpoint_seconds,
                "panels": self.panels,
            }
        )

    def _batch(self, submission: Submission) -> Batch:
        return Batch(Submissions(self.store), submission, self.loaded)
