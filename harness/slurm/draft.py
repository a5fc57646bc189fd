"""Drafts of jobs: their records and batch files, without writing or sending anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.api.strict import digest
from harness.records.reader import SuiteRecords
from harness.records.schema import Run
from harness.slurm.cluster import LoadedCluster
from harness.slurm.expected import plan_tasks
from harness.slurm.packing import PlannedTask
from harness.slurm.record import Submission, Submissions
from harness.slurm.script import Batch
from harness.suite.plan import Plan


@dataclass(frozen=True)
class Draft:
    """A job before its submission.

    submission: its record, still without an id.
    text:       its batch file.
    tasks:      the tasks of an array with their expected times; none for the dependent job.
    """

    submission: Submission
    text: str
    tasks: tuple[PlannedTask, ...] = ()


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
        """The records of what was submitted."""
        return Submissions(self.records.root)

    def arrays(self, runs: Sequence[Run]) -> list[Draft]:
        """Pack runs into as many arrays as their tasks need. Raises `UsageError` if one does not fit the time limit."""
        names, size = self.plan.names, self.loaded.cluster.max_array_size
        tasks = plan_tasks(runs, [names[run.id] for run in runs], self.records, self.loaded)
        parts = [tasks[start : start + size] for start in range(0, len(tasks), size)]
        return [self._array(runs, part, number) for number, part in enumerate(parts)]

    def dependent_job(self, unsent: int = 0) -> Draft | None:
        """Draft the job that comes after arrays, `unsent` of which are drafts; None if it is turned off."""
        if self.loaded.cluster.finish is None:
            return None
        submission = self._submission("finish", [], unsent)
        return Draft(submission, self._batch(submission).dependent_text())

    def _array(self, runs: Sequence[Run], tasks: Sequence[PlannedTask], number: int) -> Draft:
        ids = [[runs[index].id for index in task.runs] for task in tasks]
        submission = self._submission("tasks", ids, number)
        return Draft(submission, self._batch(submission).array_text(), tuple(tasks))

    def _batch(self, submission: Submission) -> Batch:
        return Batch(self.submissions, submission, self.loaded.cluster)

    def _submission(self, kind: Literal["tasks", "finish"], tasks: list[list[str]], number: int) -> Submission:
        """Name it by a hash of its tasks and the number of earlier submissions, so that names are unique."""
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
