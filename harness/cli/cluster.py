"""What `run` and `plan` do with --executor slurm, and the verbs of its jobs: `cancel`, `reconcile`, `slurm-task`."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api.errors import AuditError, InterruptedRunError, ServiceError, UsageError
from harness.cli.options import PATH, records_argument
from harness.cli.records import print_leaderboard
from harness.cli.tables import Printed, allocation_table, duration, entry_account_table, hours, print_table
from harness.records.reader import SuiteRecords

if TYPE_CHECKING:
    from harness.execution.dry_run import DryRun
    from harness.records.schema import Run
    from harness.slurm.cluster import LoadedCluster
    from harness.slurm.run import SuiteSubmission
    from harness.slurm.submit import Draft, Drafter

log = logging.getLogger(__name__)


def check_options(executor: str, cluster: Path | None, workers: int | None, ray_address: str | None = None) -> None:
    """Raise `UsageError` for options that do not belong together."""
    if executor != "slurm":
        if cluster is not None:
            raise UsageError("--cluster is read with --executor slurm alone")
        return
    if cluster is None:
        raise UsageError("--executor slurm needs --cluster FILE; slurm/cluster.example.yaml is one to begin with")
    if workers is not None:
        raise UsageError("--workers has no meaning on a cluster; max_parallel and runs_at_once in its file have")
    if ray_address is not None:
        raise UsageError("--ray-address names a Ray, which --executor slurm does not use; leave out one of them")


def report_slurm_run(done: SuiteSubmission) -> int:
    """Log what waits and how to follow it. Returns the exit code."""
    root = done.session.store.root
    folder = shlex.quote(str(root))
    if done.calibration is not None:
        log.info(f"{root}: the steps of each run are known after calibration, by job {done.calibration}")
        log.info(f"stop:  harness cancel {folder}")
    if done.queued:
        log.info(f"{root}: {done.session.summary}; {done.queued} wait or run")
        log.info(f"watch: harness status {folder} --watch 60")
        log.info(f"stop:  harness cancel {folder}")
    if done.named:
        log.info(f"{done.missing} finals were named in a container, which submits nothing; submit: {done.command}")
    elif done.missing:
        log.info(f"{done.missing} runs have no result and are in no job; submit them again: {done.command}")
    return InterruptedRunError.exit_code if done.missing and not done.named else 0


def with_jobs(dry_run: DryRun) -> DryRun:
    """The dry run with what waits or runs on the cluster; the plan alone if Slurm does not answer."""
    from harness.slurm.view import with_queued

    try:
        return with_queued(dry_run)
    except ServiceError as error:
        log.info(f"queued: unknown, {error}")
        return dry_run


def show_plan(dry_run: DryRun, loaded: LoadedCluster) -> None:
    """Print the cost of the runs to submit, the array tasks and the batch files, below the plan.

    Before the suite is calibrated there is the batch file of that job in their place.
    """
    from harness.slurm.submit import Drafter

    records, cache = SuiteRecords(dry_run.store), dry_run.cache
    drafter = Drafter(dry_run.plan, records, Path() if cache is None else cache.folder, loaded)
    if dry_run.plan.uncalibrated:
        log.info("steps after calibration: a job measures first what they cost, then the runs are submitted")
        drafts = [drafter.calibration_job()]
    else:
        drafts = _show_tasks(dry_run, drafter)
    last = drafter.dependent_job(len(drafts)) if drafts and cache is not None else None
    for draft in [*drafts, *([last] if last else [])]:
        click.echo(f"\n{draft.text.rstrip()}")
    if loaded.cluster.mixes_gpus:
        log.info("note: neither gpu_type nor constraint is set; results of different GPU models never share a table")
    log.info("nothing was submitted")


def _show_tasks(dry_run: DryRun, drafter: Drafter) -> list[Draft]:
    states = dry_run.states or {}
    runs = [run for run in dry_run.pending if states.get(run.id) not in ("queued", "running")]
    drafts = drafter.arrays(runs)
    click.echo()
    print_table(*hours_table(dry_run, runs, drafter.records, drafter.loaded))
    click.echo()
    print_table(*task_table(dry_run, drafts))
    return drafts


def hours_table(dry_run: DryRun, runs: Sequence[Run], records: SuiteRecords, loaded: LoadedCluster) -> Printed:
    """A line per entry: runs to submit, their budget and their expected time, in hours of a GPU or core."""
    from harness.slurm.packing import expected_seconds

    what = "GPU-hours" if loaded.cluster.gpus else "core-hours"
    step_seconds = dry_run.plan.reference_seconds
    expected = expected_seconds(runs, records, loaded, step_seconds)
    entry_of = {training.run.id: training.entry for training in reversed(dry_run.plan.trainings()) if training.run}
    rows: list[Sequence[str]] = []
    for entry in [*dict.fromkeys(entry_of[run.id] for run in runs), "all"]:
        own = [index for index, run in enumerate(runs) if entry in ("all", entry_of[run.id])]
        budgets = hours([_budget_seconds(runs[index], step_seconds) for index in own])
        rows.append((entry, str(len(own)), budgets, hours([expected[index] for index in own])))
    return ("entry", "to submit", f"budget in {what}", f"expected {what}"), rows, "lrrr"


def _budget_seconds(run: Run, step_seconds: float | None) -> float | None:
    """What a run may spend; step_seconds: of a reference step."""
    if run.budget.reference_steps is None:
        return run.budget.device_seconds
    return None if step_seconds is None else run.budget.amount * step_seconds


def task_table(dry_run: DryRun, drafts: Sequence[Draft]) -> Printed:
    """A line per array task."""
    names = dry_run.plan.names
    rows: list[Sequence[str]] = []
    for number, draft in enumerate(drafts):
        for index, (task, runs) in enumerate(zip(draft.tasks, draft.submission.tasks, strict=True)):
            shown = ", ".join(names[run] for run in runs[:3]) + (", ..." if len(runs) > 3 else "")
            rows.append((f"{number}_{index}", str(len(runs)), duration(task.seconds), shown))
    return ("task", "runs", "expected", "which"), rows, "lrrl"


@click.command("cancel")
@records_argument
def cancel_command(records: SuiteRecords) -> None:
    """Cancel the jobs that `run --executor slurm` submitted for the suite in FOLDER, and no others.

    Active runs checkpoint first. `harness run` again goes on from there.
    """
    from harness.slurm.submit import cancel

    jobs = cancel(records)
    log.info(f"cancelled {len(jobs)} jobs: {', '.join(jobs)}" if jobs else "nothing of this suite waits or runs")


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


@click.command("slurm-task")
@click.argument("submission", type=PATH)
@click.argument("index", type=click.IntRange(0), required=False)
def slurm_task_command(submission: Path, index: int | None) -> int:
    """Do the work of one job of SUBMISSION, a file RUNS/<suite>/slurm/<name>.json.

    With INDEX: train the unfinished runs of that array task. On SIGUSR1 and SIGTERM they checkpoint, and it exits with
    75; the same command goes on. Without INDEX: do the work of a calibration job, or of the dependent job, which
    submits runs or ranks.
    """
    from harness.train.stop import StopFlag

    if index is not None:
        from harness.slurm.run import run_task

        return run_task(submission, index, StopFlag())

    from harness.execution.run import exit_code
    from harness.pipeline import write_views
    from harness.slurm.calibration import run_calibration_job
    from harness.slurm.record import Submissions
    from harness.slurm.run import run_dependent_job

    submitted = Submissions.holding(submission)[1]
    if submitted.kind == "calibrate":
        run_calibration_job(submission)
        return 0
    done = run_dependent_job(submission)
    if done is None:
        return 0
    if not done.over:
        return report_slurm_run(done)
    cache = None if submitted.panels is False else done.session.cache
    print_leaderboard(write_views(SuiteRecords(done.session.store), cache))
    return exit_code([], done.session)
