"""The front door: what a suite goes through, from its file to its leaderboard.

A suite is planned, searched, trained, tested, ranked, audited, shown on a page and tracked. The command line, batch
jobs and notebooks call the same functions. What is heavy is imported where it is needed, so that reading records loads
no torch.
"""

from __future__ import annotations

import logging
import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.api.errors import InterruptedRunError, RecordError, ServiceError, UsageError
from harness.records.reader import SuiteRecords
from harness.suite.load import LoadedSuite, load_suite
from harness.suite.registry import load_dataset

if TYPE_CHECKING:
    import pandas as pd

    from harness.data.cache import Cache
    from harness.execution.dry_run import DryRun
    from harness.execution.session import Session
    from harness.leaderboard.leaderboard import Leaderboard
    from harness.slurm.run import SuiteSubmission

log = logging.getLogger(__name__)

MOST_AUDITED = 500
"""Runs up to which a page is written with its audit, which reads every step of every run."""


class UnfinishedSuiteError(InterruptedRunError):
    """Some runs have no result yet. The same call goes on from their checkpoints.

    leaderboard: That of the finished runs; None after a signal, and while a search has not named the final runs.
    """

    def __init__(self, message: str, leaderboard: Leaderboard | None) -> None:
        super().__init__(message)
        self.leaderboard = leaderboard


def run_suite(
    suite: str | Path,
    *,
    data: str | Path | None = None,
    runs: str | Path = "runs",
    executor: Literal["auto", "inline", "ray"] = "auto",
    workers: int | None = None,
    ray_address: str | None = None,
    checkpoint_seconds: float = 30.0,
    reuse: str | Path | None = None,
    retry_failed: bool = False,
    rung: int | None = None,
    yes: bool = False,
    panels: bool = True,
    track: bool = True,
    tracking_uri: str | None = None,
) -> Leaderboard:
    """Train what a suite lacks on this machine, test it once, and rank it. The same call goes on after any stop.

    Args:
        suite: Name of a shipped suite, or path of a suite's YAML file.
        data: A prepared cache, or scans in a layout that the dataset reads. None: $HARNESS_DATA, which generated
            data do not need.
        runs: Folder of all records. Those of the suite go into RUNS/<suite name>.
        executor: "inline" trains in this process, one run after the other; "ray" trains on a Ray; "auto" trains in
            processes of this machine, and searches on Ray Tune where Ray is installed.
        workers: Runs at once. None: the GPUs, or the cores where there are none.
        ray_address: A Ray to join, HOST:PORT or a file that holds it. None: one of our own on this machine.
        checkpoint_seconds: Wall seconds between two checkpoints of a run.
        reuse: Records of another suite. Runs that it has finished are taken over instead of trained again.
        retry_failed: Whether runs that ended with a failure record are trained again.
        rung: Train this rung of the suite's ladder alone. None: all, the shortest first.
        yes: Start even where a calibration expects more than 48 device-hours.
        panels: Whether the page shows the worst test cases. It then holds scans.
        track: Whether the records are mirrored into MLflow. What goes wrong there is a warning.
        tracking_uri: MLflow's store. None: $MLFLOW_TRACKING_URI, or sqlite:///mlflow.db.

    Returns:
        The leaderboard, as pandas frames. A run that failed counts in it, and is ranked last.

    Raises:
        UsageError: The suite, an option or a combination of them is wrong.
        DataError: The data are absent or flawed.
        DiskError: Records cannot be written.
        UnfinishedSuiteError: A signal stopped the runs, or another process has some of them.

    Example:
        >>> leaderboard = run_suite("demo", runs="runs", executor="inline")  # doctest: +SKIP
    """
    from harness.execution.fork_server import ForkServer

    loaded = load_suite(suite)
    in_processes = executor == "auto" and ray_address is None and loaded.suite.search is None
    with ForkServer() if in_processes else nullcontext() as server:  # imports torch while this process plans
        from harness.execution.run import ExecuteSettings, execute, exit_code
        from harness.execution.session import reuse as take_over
        from harness.search.run import run_search
        from harness.slurm.queue import free_leases
        from harness.train.stop import StopFlag

        settings, stop = ExecuteSettings(executor, workers, checkpoint_seconds, ray_address), StopFlag()
        session = _open(loaded, data, runs, reuse, retry_failed, rung, yes)
        free_leases(session.store.by_id(run) for run in session.named)
        before = session.plan.finals
        session, outcomes = run_search(session, settings, stop)
        if reuse is not None and session.plan.finals != before:  # which nobody knew when the session was opened
            take_over(session, Path(reuse))
        if session.plan.finals:
            log.info("%s: %s, each %s", session.store.root, session.summary, session.plan.asked_budget)
            outcomes += execute(session, settings, stop, server=server)
        if stop.is_set() and (session.pending() or not session.plan.finals):
            # whoever sent a signal kills what is not gone in seconds: no time for tables
            where = session.store.root
            hint = f"the same call goes on, and `harness leaderboard {shlex.quote(str(where))}` ranks what there is"
            raise UnfinishedSuiteError(f"{where}: stopped by {stop.reason}, some runs are unfinished; {hint}", None)
        interrupted = exit_code(outcomes, session) == InterruptedRunError.exit_code
    records, cache = SuiteRecords(session.store), session.cache if panels else None
    leaderboard = write_views(records, cache) if session.plan.finals else None
    if track:
        track_or_warn(records, tracking_uri)
    if leaderboard is None or interrupted:
        raise UnfinishedSuiteError(
            f"{session.store.root}: some runs are unfinished; the same call goes on", leaderboard
        )
    return leaderboard


def plan_suite(
    suite: str | Path, *, data: str | Path | None = None, runs: str | Path = "runs", rung: int | None = None
) -> DryRun:
    """Say what a suite would run and what is done of it, without writing a byte.

    Args:
        suite: Name of a shipped suite, or path of a suite's YAML file.
        data: As for `run_suite`. Data that are not prepared yet stay so; it is then unknown what is done.
        runs: Folder of all records.
        rung: As for `run_suite`.

    Returns:
        The plan, with the state of each run where that is known.

    Raises:
        UsageError: The suite is wrong.
        DataError: The data are absent or flawed.

    Example:
        >>> [run.name for run in plan_suite("demo").plan.trainings()]  # doctest: +SKIP
    """
    from harness.execution.dry_run import make_dry_run

    return make_dry_run(load_suite(suite), None if data is None else Path(data), Path(runs), rung)


def load_leaderboard(folder: str | Path) -> Leaderboard:
    """Compute the leaderboard of a suite from its records alone, and write nothing but the index of what was read.

    Args:
        folder: Records of one suite, RUNS/<suite name>.

    Returns:
        The leaderboard; the same records give the same frames.

    Raises:
        UsageError: There are no records in the folder, or they mix versions of a method.
        RecordError: A record is missing, damaged or of another version.

    Example:
        >>> load_leaderboard("runs/demo").results[["entry", "dice"]]  # doctest: +SKIP
    """
    from harness.leaderboard.leaderboard import build_leaderboard

    return build_leaderboard(SuiteRecords.open(Path(folder)))


def submit_suite(
    suite: str | Path,
    *,
    cluster: str | Path,
    data: str | Path | None = None,
    runs: str | Path = "runs",
    checkpoint_seconds: float = 30.0,
    reuse: str | Path | None = None,
    retry_failed: bool = False,
    rung: int | None = None,
    yes: bool = False,
    panels: bool | None = None,
) -> SuiteSubmission:
    """Submit what a suite lacks to Slurm, and return without waiting. The same call submits again what was lost.

    Under a budget of reference steps without a calibration that is a job that measures one, and a dependent job that
    plans and submits the runs.

    Args:
        suite: Name of a shipped suite, or path of a suite's YAML file.
        cluster: A cluster file, as slurm/cluster.example.yaml.
        data: As for `run_suite`.
        runs: Folder of all records, on a disk that all nodes share.
        checkpoint_seconds: Wall seconds between two checkpoints of a run.
        reuse: As for `run_suite`.
        retry_failed: As for `run_suite`.
        rung: As for `run_suite`.
        yes: As for `run_suite`.
        panels: Whether the dependent job's page shows the worst test cases. None: where the data are at hand.

    Returns:
        How many runs wait, run or are missing, or the job that calibrates first. It is `over` once every run has a
        result.

    Raises:
        UsageError: The suite, an option or the cluster file is wrong, or another process submits this suite.
        ServiceError: Slurm does not answer.

    Example:
        >>> submit_suite("acdc_semi", cluster="cluster.yaml", data="/data/acdc")  # doctest: +SKIP
    """
    from harness.execution.session import open_uncalibrated
    from harness.slurm.calibration import submit_calibration
    from harness.slurm.cluster import check_partitions, load_cluster, refuse_adaptive, refuse_mixed_gpus
    from harness.slurm.run import submit_missing

    loaded, asked = load_suite(suite), load_cluster(Path(cluster))
    refuse_adaptive(loaded, str(suite))
    refuse_mixed_gpus(asked, loaded)
    check_partitions(asked)  # before minutes of preparing data
    source = None if reuse is None else Path(reuse)
    uncalibrated = open_uncalibrated(loaded, None if data is None else Path(data), Path(runs), rung, source)
    if uncalibrated is not None:
        if reuse is not None or retry_failed:
            raise UsageError(
                f"{uncalibrated.store.root}: a job calibrates it first, so its runs are not known yet; give --reuse "
                "and --retry-failed once that has ended"
            )
        return submit_calibration(uncalibrated, asked, checkpoint_seconds, panels, yes=yes)
    session = _open(loaded, data, runs, reuse, retry_failed, rung, yes)
    return submit_missing(session, asked, checkpoint_seconds, panels, yes=yes)


def score_predictions(
    predictions: str | Path,
    *,
    dataset: str,
    name: str,
    note: str = "",
    data: str | Path | None = None,
    runs: str | Path = "runs",
) -> pd.DataFrame:
    """Score label maps from elsewhere on a dataset's test split. Boards on the same data in RUNS then show them.

    Each call is a use of the test split, and is recorded with a running number before the split is opened. What can be
    checked without the annotation is checked before.

    Args:
        predictions: A folder with a file for each test case, <case id>.nii.gz, .nrrd, .mha or .npy.
        dataset: As suites name it.
        name: Of the row, at most 40 characters.
        note: What the label maps were made with, at most 300 characters; shown beside the name.
        data: As for `run_suite`.
        runs: Folder of all records.

    Returns:
        Per-case records, columns as of a run's cases.parquet.

    Raises:
        UsageError: The dataset is unknown, or the name is empty or too long.
        DataError: Data are absent. A case has no label map, or a label map is flawed or of other geometry.
        DiskError: Records cannot be written.

    Example:
        >>> score_predictions("out", dataset="acdc", name="nnU-Net, 70 labels", data=DIR)  # doctest: +SKIP
    """
    from harness.data.label_maps import labels_sha256, read_label_maps
    from harness.data.permit import ScoringPermit
    from harness.data.prepare import resolve
    from harness.evaluation.metrics import Tolerance
    from harness.evaluation.score import score
    from harness.records.schema import Engine
    from harness.records.scored import ScoredFolder

    for option, text, most in (("name", name, 40), ("note", note, 300)):
        if len(text) > most or (option == "name" and not text.strip()):
            raise UsageError(f"--{option}: {len(text)} characters; give 1 to {most}")
    known = load_dataset(dataset)
    cache, folder = resolve(known, None if data is None else Path(data)), ScoredFolder(Path(runs), dataset)
    labels = read_label_maps(Path(predictions), cache.manifest, known.dimension)
    use = folder.record_use(name, note, cache.reference, labels_sha256(labels))
    log.info("use %d of the test split of %s on record in %s", use.number, dataset, runs)
    tolerance = Engine().nsd_tolerance
    rows = score(labels, cache, ScoringPermit(folder, use), known.dimension, Tolerance(*tolerance))
    folder.write(use, rows, tolerance)
    return rows


def write_views(records: SuiteRecords, cache: Cache | None = None) -> Leaderboard:
    """Compute the leaderboard and write its tables, figures and page beside the records, one process at a time.

    cache: the suite's data, for pictures of the worst test cases; None leaves them out. Raises `UsageError` where
    another process writes it, and has not ended after two minutes.
    """
    from harness.audit import audit
    from harness.leaderboard.leaderboard import build_leaderboard, write_leaderboard
    from harness.report.page import write_page

    folder = records.store.leaderboard
    with records.store.writing_leaderboard():
        leaderboard = build_leaderboard(records)  # or a process that waited would write over newer tables
        write_leaderboard(leaderboard, folder)
        audited = audit(records) if len(records.require_selection().entries) <= MOST_AUDITED else None
        page = write_page(records, leaderboard, cache, audited)
    log.info("tables and curves: %s\npage: %s", folder, page)
    return leaderboard


def track_or_warn(records: SuiteRecords, tracking_uri: str | None) -> None:
    """Mirror records into MLflow. What goes wrong is a warning: the records are safe, and `track` works later."""
    from harness.tracking import track

    try:
        log.info(track(records, tracking_uri).summary)
    except (ServiceError, RecordError) as error:
        log.warning(error)


def find_data(records: SuiteRecords, data: Path | None) -> Cache:
    """Find the data that a suite's runs were trained on, as `run_suite` finds it.

    Raises `RecordError` where no run has ended yet, `DataError` where the data are absent or others.
    """
    from harness.data.prepare import resolve

    ended = next((run for _, run in records.selected if run.result is not None), None)
    if ended is None:
        raise RecordError(f"{records.root}: no run has ended yet, so there is nothing to picture")
    return resolve(load_dataset(ended.run.dataset.name), data)


def has_failed_runs(leaderboard: Leaderboard) -> bool:
    """Whether a final run or a trial of the suite ended with a failure record."""
    inputs = leaderboard.inputs
    return any(inputs.failed.values()) or bool((inputs.search["status"] == "failed").any())


def _open(
    loaded: LoadedSuite,
    data: str | Path | None,
    runs: str | Path,
    reuse: str | Path | None,
    retry_failed: bool,
    rung: int | None,
    yes: bool,
) -> Session:
    """Plan the suite on its data, with what another one has finished and without failures that are to be retried.

    Raises `UsageError` where what is left takes days and nobody has said yes.
    """
    from harness.execution.device_time import announce
    from harness.execution.session import open_session
    from harness.execution.session import reuse as take_over

    source = None if reuse is None else Path(reuse)
    session = open_session(loaded, None if data is None else Path(data), Path(runs), rung, source)
    if source is not None:
        take_over(session, source)
    failed = session.failed() if retry_failed else []
    announce(session.plan, session.store, yes, [folder.id for folder in failed])
    for folder in failed:
        folder.reopen()
    return session
