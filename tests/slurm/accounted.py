"""Made-up records of runs that ran in jobs of Slurm, and an sacct that knows these jobs."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness.records.ledger import ProcessInfo
from harness.records.suite_folder import SuiteFolder
from tests.slurm.submissions import stand_in
from tests.synthetic import RunSpec, ledger_line, write_records

START = datetime(2026, 11, 2, 10, 0, tzinfo=UTC).timestamp()
ELAPSED, TRAINED = 400, 360.0
"""Wall seconds of each job, and of its run in training steps."""

SPEC = RunSpec(labelled=(3,), seeds=2, patients=6, history_steps=5)


@dataclass(frozen=True)
class Accounted:
    """A run directory, and the folder of the commands that answer for Slurm. jobs: run -> job."""

    store: SuiteFolder
    commands: Path
    jobs: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self):
        return {"PATH": f"{self.commands}:/usr/bin:/bin"}

    def answer(self, tres="billing=1,cpu=4,gres/gpu:a100=1,gres/gpu=1", elapsed=ELAPSED):
        """Let sacct say what was allocated for each job and how long, after a site's own words."""
        start, end = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S") for at in (START, START + elapsed))
        lines = [f"{job}|{job}|COMPLETED|{start}|{end}|{elapsed}|{tres}|n1" for job in self.jobs.values()]
        stand_in(self.commands, "sacct", f"cat {self.commands}/lines")
        (self.commands / "lines").write_text("\n".join(["Maintenance on Monday", *lines]) + "\n")


def write_accounted(root):
    store = write_records(root / "runs" / "synthetic", SPEC)
    found = Accounted(store, root / "commands")
    for number, folder in enumerate(store.folders(), start=100):
        found.jobs[folder.id] = str(number)
        put_in_job(folder, str(number))
    found.answer()
    return found


def put_in_job(folder, job):
    result = folder.require_result()
    spent = result.spent
    process = ProcessInfo(
        host="n1", pid=int(job), process_started_at=at(2), gpu_uuid=None, job=job, node="n1", gres="gpu:1", restarts=0
    )
    (folder.path / "ledger.jsonl").unlink()
    line = ledger_line("begin", at=at(8), environment=result.environment, process=process)
    walls = {"train": TRAINED, "eval": 10.0, "checkpoint": 2.0, "data": 4.0, "unaccounted": 1.0}
    done = {"device_seconds": spent.useful_device_seconds, "steps": spent.useful_steps, "wall_seconds": walls}
    folder.ledger.append(line)
    folder.ledger.append(line.model_copy(update={"kind": "start", "at": at(12), "process": None}))
    folder.ledger.append(line.model_copy(update={"kind": "end", "at": at(8 + 377), "process": None, **done}))
    shown = {**result.shown, "slurm_job": job}
    folder.write_result(result.model_copy(update={"shown": shown, "spent": folder.ledger.spent()}))


def at(seconds):
    return datetime.fromtimestamp(START + seconds, UTC).isoformat(timespec="milliseconds")
