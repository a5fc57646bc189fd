"""What would be submitted: the jobs and their batch files, without writing or sending anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.api.strict import digest
from harness.records.reader import SuiteRecords
from harness.records.schema import Run
from harness.slurm.bundles import Bundle
from harness.slurm.cluster import LoadedCluster
from harness.slurm.expected import make_bundles
from harness.slurm.record import Submission, Submissions
from harness.slurm.script import Batch
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
    records: SuiteRecords
    cache: Path
    loaded: LoadedCluster
    checkpoint_seconds: float = 30.0
    panels: bool | None = None

    @property
    def submissions(self) -> Submissions:
        """Where it is recorded what was submitted."""
        return Submissions(self.records.root)

    def arrays(self, runs: Sequence[Run]) -> list[Draft]:
        """Runs in as many arrays as their bundles take; `UsageError` where one does not fit the time limit."""
        names, size = self.plan.names, self.loaded.cluster.max_array_size
        bundles = make_bundles(runs, [names[run.id] for run in runs], self.records, self.loaded)
        parts = [bundles[start : start + size] for start in range(0, len(bundles), size)]
        return [self._array(runs, part, number) for number, part in enumerate(parts)]

    def dependent_job(self, unsent: int = 0) -> Draft | None:
        """The job that comes after arrays, `unsent` of which are drafts; None where the cluster file wants none."""
        if self.loaded.cluster.finish is None:
            return None
        submission = self._submission("finish", [], unsent)
        return Draft(submission, self._batch(submission).dependent_text())

    def _array(self, runs: Sequence[Run], bundles: Sequence[Bundle], number: int) -> Draft:
        tasks = [[runs[index].id for index in bundle.runs] for bundle in bundles]
        submission = self._submission("tasks", tasks, number)
        return Draft(submission, self._batch(submission).array_text(), tuple(bundles))

    def _batch(self, submission: Submission) -> Batch:
        return Batch(self.submissions, submission, self.loaded.cluster)

    def _submission(self, kind: Literal["tasks", "finish"], tasks: list[list[str]], number: int) -> Submission:
        """Named after what it is and how many were submitted before, so that no two have one name."""
        root, before = self.records.root, sum(1 for _ in self.submissions)
        return Submission(
            name=f"{root.name}-{kind}-{digest([str(root.resolve()), before + number, tasks])[:8]}",
            kind=kind,
            suite=self.plan.loaded.suite.hash,
            cluster=digest(self.loaded.text),
            cache=str(self.cache.resolve()),
            tasks=tasks,
            runs_at_once=self.loaded.cluster.runs_at_once,
            checkpoint_seconds=self.checkpoint_seconds,
            panels=self.panels,
        )
