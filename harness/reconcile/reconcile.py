"""Compares the ledgers of a suite with the scheduler's accounts: one call of sacct, its lines as allocations."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from harness.api.errors import HarnessError, RecordError, ServiceError
from harness.reconcile.apportion import (
    NODE_FAIL,
    AttemptInterval,
    account_by_entry,
    account_for,
    find_allocation,
    group_by_job,
    read_intervals,
)
from harness.records.accounts import Allocation, Currency, Reconciliation, UnreconciledAttempt
from harness.records.reader import SuiteRecords
from harness.slurm.client import ask
from harness.slurm.record import Submissions

FIELDS = ("JobIDRaw", "JobID", "State", "Start", "End", "ElapsedRaw", "AllocTRES", "NodeList")
RUNNING = ("RUNNING", "SUSPENDED", "COMPLETING", "STOPPED", "RESIZING")
DEAD_NODE_SECONDS = {"SlurmdTimeout": 300.0, "KillWait": 30.0}
"""Slurm's defaults, for a cluster that does not answer."""

EARLIER_SECONDS = 86_400.0
"""How long before its first attempt a job's accounts are read: it may have been requeued while it was starting."""

OUTSIDE = "no allocation: ran outside of Slurm"
UNKNOWN = "the scheduler's accounts do not know its job"


def reconcile(records: SuiteRecords) -> Reconciliation:
    """Compare what Slurm charged for the runs on record with their ledgers. Asks Slurm once, and writes nothing.

    Without accounting every attempt that ran in Slurm is listed as unreconciled, with the problem. Raises `RecordError`
    where a ledger does not say where an attempt ran.
    """
    intervals = read_intervals(records)
    in_slurm = [interval for interval in intervals if interval.process.job is not None]
    allocations: list[Allocation] = []
    problem = None
    if in_slurm:
        since = min(interval.origin for interval in in_slurm) - EARLIER_SECONDS
        try:
            allocations = read_allocations(list_jobs(records, in_slurm), since)
            problem = find_missing_gpus(in_slurm, allocations)
        except ServiceError as error:
            problem = str(error)
    return _record(records.name, intervals, [] if problem else allocations, problem)


def list_jobs(records: SuiteRecords, intervals: Sequence[AttemptInterval]) -> list[str]:
    """The jobs of attempts and the submitted ones, arrays by their shared number, each once."""
    began = [interval.process.array_job or interval.process.job for interval in intervals]
    submitted = [submission.job for submission in Submissions(records.root) if submission.tasks]
    return list(dict.fromkeys(job for job in (*began, *submitted) if job is not None))


def find_missing_gpus(intervals: Sequence[AttemptInterval], allocations: Sequence[Allocation]) -> str | None:
    """Why GPUs cannot be reconciled: a job had some and its accounts show none. None if all is well."""
    by_job = group_by_job(allocations)
    for interval in intervals:
        allocation = find_allocation(interval, by_job)
        if allocation is not None and interval.process.gres and allocation.gres is None:
            return (
                f"job {allocation.name} had {interval.process.gres} on its node and its accounts show none: "
                "add gres/gpu to AccountingStorageTRES in slurm.conf"
            )
    return None


def summarise(reconciliation: Reconciliation) -> list[str]:
    """Lines to print: how many attempts were reconciled, which were not and why, and what is unexplained."""
    allocations = reconciliation.allocations
    count = sum(len(allocation.attempts) for allocation in allocations)
    lines = [f"{reconciliation.suite}: {count} attempts in {len(allocations)} allocations reconciled"]
    reasons = Counter(attempt.reason for attempt in reconciliation.unreconciled)
    outside = reasons.pop(OUTSIDE, 0)
    lines += [f"{count} attempts not reconciled: {reason}" for reason, count in reasons.items()]
    if outside:
        lines.append(f"{outside} attempts: {OUTSIDE}")
    if any(allocation.currency == "CPU" for allocation in allocations):
        lines.append("allocations without GPUs are counted in CPU-seconds")
    if any(allocation.open for allocation in allocations):
        lines.append("some allocations still run: their figures are not final")
    lines += [
        f"job {job.name} ({job.state}, {job.node}): {job.seconds.unexplained:.1f} {job.currency}-seconds unexplained, "
        f"{job.tolerated_seconds:.1f} tolerated"
        for job in reconciliation.violations
    ]
    return lines


def _record(
    suite: str, intervals: Sequence[AttemptInterval], allocations: Sequence[Allocation], problem: str | None
) -> Reconciliation:
    by_job = group_by_job(allocations)
    intervals_of: dict[Allocation, list[AttemptInterval]] = {allocation: [] for allocation in allocations}
    unreconciled = []
    for part in intervals:
        allocation, job = find_allocation(part, by_job), part.process.job
        if allocation is not None:
            intervals_of[allocation].append(part)
            continue
        reason = OUTSIDE if job is None else problem or UNKNOWN
        unreconciled.append(
            UnreconciledAttempt(run=part.run, attempt=part.attempt, entry=part.entry, job=job, reason=reason)
        )
    dead = read_dead_node_seconds() if any(allocation.state == NODE_FAIL for allocation in allocations) else 0.0
    accounts = [account_for(allocation, intervals_of[allocation], dead) for allocation in allocations]
    return Reconciliation(
        suite=suite,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        problem=problem,
        allocations=accounts,
        entries=account_by_entry(accounts),
        unreconciled=unreconciled,
    )


def read_allocations(jobs: Sequence[str], since: float) -> list[Allocation]:
    """Every allocation of these jobs, requeued ones included, by start; one call of sacct. Raises `ServiceError`.

    jobs: Slurm's ids, an array by its shared number. since: seconds since the epoch; what was charged before belongs to
    earlier jobs with the same numbers.
    """
    first = datetime.fromtimestamp(since, UTC).astimezone().replace(tzinfo=None)
    printed = ask(
        "sacct",
        *("-X", "-D", "-P", "--noheader", "--format", ",".join(FIELDS)),
        *("--jobs", ",".join(jobs), "--starttime", (first - timedelta(seconds=1)).isoformat(timespec="seconds")),
    )
    lines = [line.split("|") for line in printed.splitlines() if "|" in line]  # others are a site's banner
    return sorted(parse(lines), key=lambda allocation: (allocation.start, allocation.job))


def parse(lines: Sequence[Sequence[str]]) -> list[Allocation]:
    """Allocations in the split lines of sacct; a job that is pending or never started has none.

    Raises `RecordError` for lines that sacct does not print.
    """
    allocations = []
    for fields in lines:
        if len(fields) != len(FIELDS):
            raise RecordError(f"sacct: {'|'.join(fields)!r} has {len(fields)} fields, not {len(FIELDS)}")
        job, name, state, start, _end, elapsed, tres, node = fields
        if start in ("", "Unknown", "None") or not tres:
            continue
        gres, currency, devices = read_tres(tres)
        state = state.partition(" ")[0]  # CANCELLED by 1000
        charged = {"gres": gres, "currency": currency, "devices": devices, "elapsed_seconds": int(elapsed or 0)}
        place = {"job": job, "name": name, "state": state, "node": node, "open": state in RUNNING}
        allocations.append(Allocation.model_validate({**place, **charged, "started_at": _utc(start)}))
    return allocations


def read_tres(text: str) -> tuple[str | None, Currency, int]:
    """AllocTRES billing=8,cpu=8,gres/gpu:a100=2,gres/gpu=2,mem=64G,node=1 is (gpu:a100, GPU, 2); types are joined by +.

    Without GPUs it is (None, CPU, 8).
    """
    counts = {name: value for name, _, value in (part.partition("=") for part in text.split(",")) if value}
    typed = {name.removeprefix("gres/gpu:"): int(n) for name, n in counts.items() if name.startswith("gres/gpu:")}
    gpus = int(counts.get("gres/gpu", sum(typed.values())))
    if gpus:
        return ":".join(filter(None, ("gpu", "+".join(sorted(typed))))), "GPU", gpus
    return None, "CPU", int(counts.get("cpu", 0))


def _utc(text: str) -> str:
    """A local time as sacct prints it, 2026-11-25T02:37:07, as one in UTC."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except ValueError:
        raise RecordError(f"sacct: {text!r} is no time; unset SLURM_TIME_FORMAT") from None


def read_dead_node_seconds() -> float:
    """How long a dead node goes unnoticed: SlurmdTimeout and KillWait of the cluster, else Slurm's defaults."""
    try:
        text = ask("scontrol", "show", "config")
    except HarnessError:
        text = ""
    known = dict(re.findall(r"^(SlurmdTimeout|KillWait)\s*=\s*(\d+) sec", text, flags=re.MULTILINE))
    return sum(float(known.get(name, seconds)) for name, seconds in DEAD_NODE_SECONDS.items())
