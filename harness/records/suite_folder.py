"""One suite's run directory, RUNS/<suite name>/."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harness.api.errors import DiskError, HarnessError, InterruptedRunError, RecordError, UsageError, suggest
from harness.api.strict import Strict, digest
from harness.records.accounts import Reconciliation
from harness.records.calibration import Calibration
from harness.records.checksums import open_text, seal_text
from harness.records.files import (
    TEMPORARY,
    disk_errors,
    is_there,
    read_content,
    read_errors,
    read_record,
    write_record,
    write_text,
)
from harness.records.lease import Lease, LeaseHeldError
from harness.records.run_folder import RunFolder
from harness.records.schema import BY_FIRST_VERSION, SCHEMA, Engine, Infeasible, PlannedRun, RunId, Trial

WRITTEN_SECONDS = 3600.0
"""No file is being written for longer without a change."""
WRITER_SECONDS = 120.0
"""How long a process that writes the leaderboard waits for another one that does."""


class SelectionEntry(Strict):
    """The hyper-parameters of one planned run, and the id of the run that they make.

    trial:    the trial that was chosen for it. None without a search.
    engine:   the settings of that trial. None for the suite's own.
    baseline: whether it is plain supervised training on the labelled patients alone.
    """

    planned_run: PlannedRun
    params: dict[str, Any]
    run: RunId
    engine: Engine | None = None
    trial: Trial | None = None
    ranked: bool = Field(True, description="False for references such as the fully supervised one")
    baseline: bool = False


class Trials(Strict):
    """trials.json: every configuration that a search tries, in the order in which they start.

    infeasible: proposals on which nothing was spent, under reference steps.
    """

    schema_version: Literal[2] = 2
    suite_hash: str
    trials: list[Trial]
    infeasible: list[Infeasible] = Field(default_factory=list, exclude_if=lambda proposals: not proposals)


class Candidate(Strict):
    """One trial as the selection saw it.

    score: Dice of its last validation. None without one.
    """

    trial: Trial
    status: Literal["ok", "failed", "ended_early"]
    score: float | None
    chosen: bool


class Selection(Strict):
    """selection.json: binds planned runs to hyper-parameters; must exist before a test split opens.

    rule:       default: as the suite says. best_validation: the best candidate of the planned run's study, the earlier
                point on a tie; the suite's own configuration where no candidate has a score.
    candidates: every trial of the search.
    digest:     sha256 of the candidates' canonical JSON.
    """

    schema_version: Literal[2] = 2
    rule: Literal["default", "best_validation"] = "default"
    suite_hash: str
    engine: Engine = Field(description="the suite's settings; a run that differs declared it")
    entries: list[SelectionEntry]
    candidates: list[Candidate] | None = None
    digest: str | None = None


def candidates_digest(candidates: Sequence[Candidate] | None) -> str | None:
    """sha256 of the candidates' canonical JSON; None without a search."""
    return None if candidates is None else digest([candidate.model_dump(mode="json") for candidate in candidates])


def _refuse_first_layout(root: Path) -> None:
    if (root / "units").is_dir():
        raise RecordError(
            f"{root}: its units/ were written by {BY_FIRST_VERSION}; this one reads schema {SCHEMA} alone. Choose "
            "another --runs directory for new runs."
        )


class SuiteFolder:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.selection_path = root / "selection.json"
        self.trials_path = root / "trials.json"
        self.reconciliation_path = root / "reconciliation.json"
        self.search_lease = Lease(root / "search.lease")
        self.calibration_lease = Lease(root / "calibration.lease")
        self.calibration_part = root / "calibration.part.json"
        self.leaderboard_lease = Lease(root / "leaderboard.lease")
        self.leaderboard = root / "leaderboard"

    @classmethod
    def create(cls, root: Path) -> SuiteFolder:
        """Open a directory for writing, and make it where it is missing.

        Raises `DiskError` where it cannot be written or is another program's, `RecordError` for one of version 0.1.0.
        """
        cls.refuse_foreign(root)
        with disk_errors(root):
            (root / "suites").mkdir(parents=True, exist_ok=True)
            (root / "runs").mkdir(exist_ok=True)
        return cls(root)

    def remove_leftovers(self) -> None:
        """Remove what killed processes left beside the runs: leases of dead owners, files that nobody writes now."""
        ended = (path for path in self.root.glob("runs/*/lease") if is_there(path.with_name("result.json")))
        for lease in map(Lease, chain(self.root.glob("*.lease"), ended)):
            with suppress(HarnessError):  # whoever needs it says what is wrong with it
                owner = lease.holder()
                if owner is not None and owner.state == "dead":
                    lease.remove_of(owner)
        with read_errors(self.root):
            folders = [path for path in self.root.iterdir() if path.is_dir() and path.name != "runs"]
        for path in chain(self.root.glob(".*"), *(folder.rglob(".*") for folder in folders)):
            with suppress(OSError):  # its writer has just renamed it
                old = time.time() - path.lstat().st_mtime > WRITTEN_SECONDS
                if old and TEMPORARY.fullmatch(path.name):
                    path.unlink()

    @staticmethod
    def refuse_foreign(root: Path) -> None:
        """Raise what `create` raises. Writes nothing."""
        _refuse_first_layout(root)
        with disk_errors(root):
            existing = next(path for path in (root, *root.parents) if path.exists())
            if not existing.is_dir():
                raise DiskError(f"{existing} is a file; choose another --runs directory")
            if existing == root and any(root.iterdir()) and not (root / "suites").is_dir():
                raise DiskError(f"{root} holds files of another program (no suites/); choose another --runs directory")

    @classmethod
    def open(cls, root: Path) -> SuiteFolder:
        """Open for reading. Raises `UsageError` without records, `RecordError` for those of version 0.1.0."""
        _refuse_first_layout(root)
        if not (root / "suites").is_dir():
            raise UsageError(f"{root}: no records here; {_nearest(root)}")
        return cls(root)

    def folders(self, without: Container[str] = ()) -> Iterator[RunFolder]:
        """The folders of all runs on record, by id; without: ids that are left out."""
        runs = self.root / "runs"
        with read_errors(runs):
            names = sorted(path.name for path in runs.iterdir()) if is_there(runs) else []
        yield from (self.by_id(name) for name in names if name not in without and is_there(runs / name / "run.json"))

    def keep_suite(self, text: str, suite_hash: str) -> None:
        path = self.root / "suites" / f"{suite_hash}.yaml"
        if not is_there(path):
            write_text(path, seal_text(text))

    def suite_text(self, suite_hash: str) -> str:
        """A version of the suite file. Raises `RecordError` where it is missing or damaged."""
        path = self.root / "suites" / f"{suite_hash}.yaml"
        text = open_text(read_content(path))
        if text is None:
            raise RecordError(f"{path}: damaged, or edited by hand: its checksum is not that of its content")
        return text

    def write_selection(self, selection: Selection) -> None:
        """Bind planned runs to hyper-parameters. Must come before any final run."""
        if not is_there(self.selection_path) or self.selection() != selection:
            write_record(self.selection_path, selection)

    def selection(self) -> Selection:
        """The current selection. Raises `RecordError` where there is none."""
        if not is_there(self.selection_path):
            raise RecordError(f"{self.selection_path} is missing: no final run was planned here yet")
        return read_record(self.selection_path, Selection)

    def write_trials(self, trials: Trials) -> None:
        if self.trials() != trials:
            write_record(self.trials_path, trials)

    def trials(self) -> Trials | None:
        """The trials of the current search. None without one."""
        return read_record(self.trials_path, Trials) if is_there(self.trials_path) else None

    def write_calibration(self, calibration: Calibration) -> None:
        """Keep a calibration beside the runs whose steps it says."""
        folder = self.root / "calibrations"
        with disk_errors(self.root):
            folder.mkdir(exist_ok=True)
        write_record(folder / f"{calibration.header.hash}.json", calibration, indent=None)

    def calibrations(self) -> list[Calibration]:
        """All calibrations on record, in the order of their hashes."""
        return [read_record(path, Calibration) for path in sorted((self.root / "calibrations").glob("*.json"))]

    def write_reconciliation(self, record: Reconciliation) -> None:
        """Record what Slurm charged, so that tables can show it without a Slurm."""
        write_record(self.reconciliation_path, record)

    def reconciliation(self) -> Reconciliation | None:
        """What Slurm charged, as of the last reconciliation. None without one."""
        return read_record(self.reconciliation_path, Reconciliation) if is_there(self.reconciliation_path) else None

    @contextmanager
    def writing_leaderboard(self) -> Iterator[None]:
        """Keep other processes from writing the leaderboard.

        Raises `InterruptedRunError` where one still does after two minutes.
        """
        lease = self.leaderboard_lease
        try:
            with lease.held_for(WRITER_SECONDS):
                yield
        except LeaseHeldError:
            raise InterruptedRunError(f"{self.leaderboard}: {lease.holder()} is writing it; try again later") from None

    def by_id(self, run: str) -> RunFolder:
        """The folder of a run id, whether it exists or not."""
        return RunFolder(self.root / "runs" / run)


def _nearest(root: Path) -> str:
    """What to type instead: the folder of a suite in it, beside it or below runs/."""
    for parent in (root, root.parent, root.parent / "runs"):
        if folders := [str(path.parent) for path in parent.glob("*/suites")]:
            return suggest(str(root), folders)
    return f"name the folder of a suite's records, such as runs/{root.name}: `harness run --suite {root.name}` makes it"
