"""What was submitted, beside the records: RUNS/<suite>/slurm/, a file for each job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.api.errors import RecordError
from harness.api.strict import Strict, digest
from harness.records.files import read_record, write_record, write_text
from harness.records.lease import Lease
from harness.records.suite_folder import RunStore


class Submission(Strict):
    """One job of Slurm: an array of bundles, or the job that comes after arrays.

    Written before `sbatch` is called and again with the job's id, so that a job whose submitter died is found by its
    name, which no other job has.

    name:    of the job in Slurm, and of this file.
    job:     Slurm's id of the (array) job; None while it is not known.
    suite:   hash of the version of the suite; cluster: digest of the cluster file's text.
    cache:   the data's folder.
    bundles: unit ids by array index, in the order in which they start; none for a finishing job.
    lanes:   units side by side in a task.
    panels:  whether the leaderboard gets pictures, None where nobody said.
    """

    schema_version: Literal[1] = 1
    name: str
    job: str | None = None
    kind: Literal["bundles", "finish"]
    suite: str
    cluster: str
    cache: str
    bundles: list[list[str]] = Field(default_factory=list)
    lanes: int = 1
    checkpoint_seconds: float = 30.0
    panels: bool | None = None
    at: str = Field("", description="UTC, ISO 8601")

    def task_of(self, index: int) -> str:
        """An array task as Slurm names it."""
        return f"{self.job}_{index}"


class Submissions:
    """The submissions of one suite."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.folder = store.root / "slurm"

    def __iter__(self) -> Iterator[Submission]:
        """All of them, the oldest first."""
        found = [read_record(path, Submission) for path in self.folder.glob("*.json")]
        return iter(sorted(found, key=lambda one: (one.at, one.name)))

    def read(self, path: Path) -> Submission:
        """One of them, by its file."""
        if not path.is_file():
            raise RecordError(f"{path}: no such submission")
        return read_record(path, Submission)

    def write(self, submission: Submission) -> None:
        """Record it, or what has become known of it."""
        write_record(self.path(submission), submission)

    def forget(self, submission: Submission) -> None:
        """Remove the record of what Slurm refused, and its batch file."""
        self.path(submission).unlink(missing_ok=True)
        self.script(submission).unlink(missing_ok=True)

    def path(self, submission: Submission) -> Path:
        """Its record."""
        return self.folder / f"{submission.name}.json"

    def script(self, submission: Submission) -> Path:
        """Its batch file."""
        return self.folder / f"{submission.name}.sh"

    def keep_cluster(self, text: str) -> None:
        """Keep this version of the cluster file."""
        path = self.cluster_path(digest(text))
        if not path.exists():
            write_text(path, text)

    def cluster_path(self, name: str) -> Path:
        """A version of the cluster file."""
        return self.folder / "clusters" / f"{name}.yaml"

    @property
    def lease(self) -> Lease:
        """Held by whoever submits, so that nothing is submitted twice."""
        return Lease(self.folder / "lease")
