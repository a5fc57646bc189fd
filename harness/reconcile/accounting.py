"""The scheduler's accounts: one call of sacct, its lines as allocations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from harness.api.errors import HarnessError, RecordError
from harness.records.accounts import Allocation, Currency
from harness.slurm.client import ask, ask_table

FIELDS = ("JobIDRaw", "JobID", "State", "Start", "End", "ElapsedRaw", "AllocTRES", "NodeList")
RUNNING = ("RUNNING", "SUSPENDED", "COMPLETING", "STOPPED", "RESIZING")
SLURMD_TIMEOUT_SECONDS, KILL_WAIT_SECONDS = 300.0, 30.0
"""Slurm's defaults, for a cluster that does not answer."""


def read_allocations(jobs: Sequence[str], since: float) -> list[Allocation]:
    """Read every allocation of these jobs, requeued ones included, by start; one call of sacct.

    Args:
        jobs: Slurm's ids, an array by its shared number.
        since: seconds since the epoch; what was charged before belongs to earlier jobs with the same numbers.

    Raises:
        ServiceError: there is no accounting.
        SlurmRefusedError: the accounting refuses the question.
    """
    first = datetime.fromtimestamp(since, UTC).astimezone().replace(tzinfo=None)
    lines = ask_table(
        *("sacct", "-X", "-D", "-P", "--noheader", "--format", ",".join(FIELDS)),
        *("--jobs", ",".join(jobs), "--starttime", (first - timedelta(seconds=1)).isoformat(timespec="seconds")),
    )
    return sorted(parse(lines), key=lambda allocation: (allocation.start, allocation.job))


def parse(lines: Sequence[Sequence[str]]) -> list[Allocation]:
    """Parse the split lines of sacct. A job that is pending or never started has no allocation.

    Raises `RecordError` for lines that sacct does not print.
    """
    allocations = []
    for fields in lines:
        if len(fields) != len(FIELDS):
            raise RecordError(f"sacct: {'|'.join(fields)!r} has {len(fields)} fields, not {len(FIELDS)}")
        job, name, state, start, _end, elapsed, tres, node = fields
        started_at = _utc(start)
        if started_at is None or not tres:
            continue
        gres, currency, devices = read_tres(tres)
        state = state.partition(" ")[0]  # CANCELLED by 1000
        allocations.append(
            Allocation(
                job=job,
                name=name,
                state=state,
                node=node,
                gres=gres,
                currency=currency,
                devices=devices,
                started_at=started_at,
                elapsed_seconds=int(elapsed or 0),
                open=state in RUNNING,
            )
        )
    return allocations


def read_tres(text: str) -> tuple[str | None, Currency, int]:
    """Parse AllocTRES: billing=8,cpu=8,gres/gpu:a100=2,gres/gpu=2,mem=64G,node=1 is (gpu:a100, GPU, 2).

    Without GPUs it is (None, CPU, 8). The names of several types are joined by +.
    """
    counts = {name: value for name, _, value in (part.partition("=") for part in text.split(",")) if value}
    typed = {name.removeprefix("gres/gpu:"): int(n) for name, n in counts.items() if name.startswith("gres/gpu:")}
    gpus = int(counts.get("gres/gpu", sum(typed.values())))
    if gpus:
        return ":".join(filter(None, ("gpu", "+".join(sorted(typed))))), "GPU", gpus
    return None, "CPU", int(counts.get("cpu", 0))


def _utc(text: str) -> str | None:
    """A local time as sacct prints it, 2026-11-25T02:37:07, as one in UTC; None for a job that has not started."""
    if text in ("", "Unknown", "None"):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except ValueError:
        raise RecordError(f"sacct: {text!r} is no time; unset SLURM_TIME_FORMAT") from None


def read_dead_node_seconds() -> float:
    """Read how long a dead node goes unnoticed: SlurmdTimeout and KillWait of the cluster, else Slurm's defaults."""
    try:
        text = ask("scontrol", "show", "config")
    except HarnessError:
        text = ""
    values = dict(re.findall(r"^(SlurmdTimeout|KillWait)\s*=\s*(\d+) sec", text, flags=re.MULTILINE))
    timeout = float(values.get("SlurmdTimeout", SLURMD_TIMEOUT_SECONDS))
    return timeout + float(values.get("KillWait", KILL_WAIT_SECONDS))
