"""Nodes that are up and yet fail tasks, by Slurm's accounting: which they are, and which get no more of a suite."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.api.errors import InterruptedRunError, RunFailedError, ServiceError
from harness.execution.process import BUSY
from harness.slurm.client import SlurmRefusedError, ask_table
from harness.slurm.record import Submission
from harness.slurm.script import STARTING_KILLED

LOST = frozenset({"NODE_FAIL", "BOOT_FAIL"})
"""States in which Slurm itself blames the node."""
OWN_CODES = frozenset((0, RunFailedError.exit_code, BUSY, InterruptedRunError.exit_code, *STARTING_KILLED))
"""Exit codes of a task on a node that works."""
SEVERAL = 2
"""Failed tasks after which a node gets no more."""
NAMED = 4
"""Failed tasks that a sentence names."""
MEMORY_SECONDS = 86_400.0
"""Older failures are forgotten: the node may have been mended."""


@dataclass(frozen=True)
class End:
    """How one start of an array task (55_2), or of a job without tasks (58), ended; one that runs is "RUNNING".

    at: seconds since the epoch; infinite while it has not ended.
    """

    task: str
    state: str
    code: int
    signal: int
    node: str
    at: float

    @property
    def by_node(self) -> bool:
        """Whether the node may have failed it. What a suite or its runs lack fails on a node that works, too."""
        return bool(self.node) and (self.state in LOST or (self.state == "FAILED" and self.code not in OWN_CODES))

    @property
    def well(self) -> bool:
        """Whether its node did what it was asked to."""
        return self.state in ("COMPLETED", "FAILED") and not self.by_node

    @property
    def how(self) -> str:
        """FAILED, exit code 127."""
        number = f", signal {self.signal}" if self.signal else f", exit code {self.code}" if self.code else ""
        return self.state + number


def ask_ends(jobs: Sequence[str]) -> list[End]:
    """How each start of these jobs' tasks ended, by time: one call of sacct. Empty without accounting."""
    if not jobs:
        return []
    fields = "--format=JobID,State,ExitCode,NodeList,End"
    try:
        lines = ask_table("sacct", 5, "-X", "-D", "-n", "-P", f"--jobs={','.join(jobs)}", fields)
    except (ServiceError, SlurmRefusedError):
        return []
    ends = []
    for task, state, code, node, end in lines:
        exit_code, _, signal = code.partition(":")
        place = "" if node == "None assigned" else node
        ends.append(End(task, state.split(" ")[0], int(exit_code or 0), int(signal or 0), place, _seconds(end)))
    return sorted(ends, key=lambda each: each.at)


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:  # Unknown
        return float("inf")


@dataclass(frozen=True)
class NodeFailures:
    """What nodes have failed of a suite.

    failed: node -> tasks that failed there within a day, and since a task last went well there.
    others: whether another node ran tasks without failing them. Where none did, what was submitted may be wrong.
    """

    failed: Mapping[str, Sequence[End]]
    others: bool

    @classmethod
    def of(cls, ends: Iterable[End]) -> NodeFailures:
        """Judge by the ends of a suite's array tasks and calibrations; its dependent jobs need no GPU."""
        since = time.time() - MEMORY_SECONDS
        recent = [end for end in ends if end.node and end.at > since]
        failed: dict[str, list[End]] = {}
        for end in recent:
            if end.by_node:
                failed.setdefault(end.node, []).append(end)
            elif end.well:
                failed.pop(end.node, None)
        return cls(failed, any(end.node not in failed and not end.by_node for end in recent))

    def excluded(self, tried: Collection[str] = ()) -> list[str]:
        """Nodes that get no more tasks. tried: nodes that failed the runs to be submitted: once is enough there."""
        several = {node for node, ends in self.failed.items() if _broken(ends)}
        return sorted(several | (set(tried) & self.failed.keys())) if self.others else []

    def lines(self) -> list[str]:
        """A sentence for each node that failed several tasks, or was lost."""
        what = (
            "it gets no more of this suite within a day"
            if self.others
            else "no other node has done better, so it stays: see the log of such a task"
        )
        return [
            f"node {node} failed {_some(ends)}; {what}" for node, ends in sorted(self.failed.items()) if _broken(ends)
        ]


def _broken(ends: Sequence[End]) -> bool:
    return len(ends) >= SEVERAL or any(end.state in LOST for end in ends)


def _some(ends: Sequence[End]) -> str:
    more = f" and {len(ends) - NAMED} more" if len(ends) > NAMED else ""
    return ", ".join(f"{end.task} ({end.how})" for end in ends[:NAMED]) + more


def failed_where(submissions: Iterable[Submission], ends: Iterable[End]) -> dict[str, str]:
    """Run, or "calibrate" -> the node that failed the last task that it was in, where one did.

    submissions: the oldest first.
    """
    last = {end.task: end for end in ends}
    places: dict[str, str] = {}
    for each in submissions:
        tasks = {each.task_of(index): runs for index, runs in enumerate(each.tasks)} or {str(each.job): [each.kind]}
        for task, runs in tasks.items():
            end = last.get(task)
            places |= dict.fromkeys(runs, end.node if end is not None and end.by_node else "")
    return {run: node for run, node in places.items() if node}
