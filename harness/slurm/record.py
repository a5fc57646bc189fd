"""Records of submitted jobs: a file for each in RUNS/<suite>/slurm/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.api.errors import RecordError
from harness.api.strict import Strict
from harness.records.files import read_record, write_record
from harness.records.lease import Lease
from harness.records.reader import SuiteRecords

Kind = Literal["tasks", "calibrate", "finish"]


class Submission(Strict):
    """One job of Slurm: an array of tasks, a calibration, or the dependent job that comes after either.

    Written before `sbatch` is called and again with the job's id, so that a job whose submitter died is found by its
    name, which no other job has.

    name:    of the job in Slurm, and of this file; job: Slurm's id of it, None while it is not known.
    suite:   hash of the version of the suite; cluster: digest of the cluster file's text.
    cache:   the data's folder.
    tasks:   run ids by array index, in the order in which they start; none but for an array.
    runs_at_once: runs side by side in a task.
    panels:  whether the leaderboard gets pictures; None: if the data are at hand.
    rung:    of the suite's ladder, beyond whose runs nothing is submitted; None: all.
    yes:     whether more than two days of device time were agreed to.
    opened:  hash of the version of the suite that was on record by then; None: none.
    """

    schema_version: Literal[2] = 2
    name: str
    job: str | None = None
    kind: Kind
    suite: str
    cluster: str
    cache: str
    tasks: list[list[str]]
    runs_at_once: int
    checkpoint_seconds: float
    panels: bool | None
    rung: int | None = None
    yes: bool = False
    opened: str | None = None
    at: str = Field("", description="UTC, ISO 8601")

    @property
    def runs(self) -> list[str]:
        """Ids of all its runs."""
        return [run for task in self.tasks for run in task]

    def task_of(self, index: int) -> str:
        return f"{self.job}_{index}"


class Submissions:
    """The submissions of one suite, whose folder is `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "slurm"

    @classmethod
    def holding(cls, record: Path) -> tuple[Submissions, Submission]:
        """The submission in this file, and those beside it. Raises `RecordError` if there is none."""
        if not record.is_file():
            raise RecordError(f"{record}: no such submission")
        return cls(record.resolve().parent.parent), read_record(record, Submission)

    def __iter__(self) -> Iterator[Submission]:
        submissions = [read_record(path, Submission) for path in self.folder.glob("*.json")]
        return iter(sorted(submissions, key=lambda submission: (submission.at, submission.name)))

    def write(self, submission: Submission) -> None:
        write_record(self.path(submission), submission)

    def path(self, submission: Submission) -> Path:
        return self.folder / f"{submission.name}.json"

    def script(self, submission: Submission) -> Path:
        return self.folder / f"{submission.name}.sh"

    def suite_path(self, submission: Submission) -> Path:
        return self.root / "suites" / f"{submission.suite}.yaml"

    def cluster_path(self, submission: Submission) -> Path:
        return self.folder / "clusters" / f"{submission.cluster}.yaml"

    @property
    def lease(self) -> Lease:
        """The lease of the process that submits, so that no run is submitted twice."""
        return Lease(self.folder / "lease")


def version_on_record(records: SuiteRecords) -> str | None:
    """Hash of the version of the suite that was opened last in its run directory; None where none was."""
    # trials are rewritten whenever a version is opened, once there are some
    current = records.selection if records.trials is None else records.trials
    return None if current is None else current.suite_hash


def unsettled(records: SuiteRecords) -> list[Submission]:
    """Jobs that may have work left: those without tasks, and arrays with a run without a result."""
    return [
        submission
        for submission in Submissions(records.root)
        if not submission.tasks or any(records.run(run).result is None for run in submission.runs)
    ]
