"""The batch files: what Slurm is asked for, and what the batch shell does around Python, signals and requeuing."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from harness.api.errors import InterruptedRunError, ServiceError
from harness.slurm.cluster import LINE, Cluster, LoadedCluster
from harness.slurm.record import Submission, Submissions

STARTING_KILLED = (138, 143)
"""What a shell says of a child that USR1 or TERM killed: our Python, before it could listen."""

LISTEN = """\
# USR1 comes before the time limit, TERM with preemption and scancel; Python checkpoints, and what is left is requeued
stopped= driver=
trap 'stopped=1; [ -z "$driver" ] || kill -USR1 "$driver" 2>/dev/null' USR1 TERM"""

RUN = """\
code={again}
if [ -z "$stopped" ]; then
  {python} -P -m harness bundle {record} "$SLURM_ARRAY_TASK_ID" &
  driver=$!
  while kill -0 "$driver" 2>/dev/null; do wait "$driver"; done  # a trap interrupts it
  wait "$driver"
  code=$?
fi
case $code in {codes}) ;; *) exit "$code" ;; esac
task=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID  # the bare id of one task is at times that of the whole array
if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {restarts} ]; then
  # not where somebody cancelled it, nor where Slurm requeues it by itself, as after preemption
  case $(scontrol --oneliner show job "$task") in
    *JobState=RUNNING*|*Reason=TimeLimit*) scontrol requeue "$task" ;;
  esac
fi
exit "$code\""""

FINISH = """\
{python} -P -m harness run --suite {suite} --data {cache} --runs {runs} --executor slurm --cluster {cluster} \\
  --checkpoint-seconds {seconds} --no-track --finishing{panels}"""


@dataclass(frozen=True)
class Batch:
    """One submission, and what its batch file is made from."""

    submissions: Submissions
    submission: Submission
    loaded: LoadedCluster

    @property
    def runs(self) -> Path:
        """The --runs directory."""
        return self.submissions.store.root.parent.resolve()

    @property
    def folder(self) -> Path:
        """Of batch files and logs."""
        return self.submissions.folder.resolve()


def array_text(batch: Batch) -> str:
    """The batch file of an array of bundles."""
    cluster, submission = batch.loaded.cluster, batch.submission
    command = RUN.format(
        again=InterruptedRunError.exit_code,
        codes="|".join(map(str, (InterruptedRunError.exit_code, *STARTING_KILLED))),
        python=_python(batch),
        record=shlex.quote(str(batch.folder / f"{submission.name}.json")),
        restarts=cluster.max_restarts,
    )
    lanes = cluster.units_at_once
    options = {
        "partition": cluster.partition,
        "constraint": cluster.constraint,
        "gres": cluster.gres,
        "cpus_per_task": cluster.cpus * lanes,
        "mem": f"{cluster.memory_mb * lanes}M",
        "time": cluster.time,
        "array_parallelism": cluster.max_parallel,
        "map_count": len(submission.bundles),
        "setup": [LISTEN, *_setup(batch)],
    }
    signal = f"B:USR1@{cluster.warning_seconds}"
    return _text(batch, command, options, {"signal": signal, "requeue": True, "output": f"{batch.folder}/%A_%a.log"})


def finish_text(batch: Batch) -> str:
    """The batch file of the job behind the arrays."""
    cluster, submission = batch.loaded.cluster, batch.submission
    finish = cluster.finish
    assert finish is not None, "the cluster file asks for none"
    command = FINISH.format(
        python=_python(batch),
        suite=shlex.quote(str(batch.runs / batch.submissions.store.root.name / "suites" / f"{submission.suite}.yaml")),
        cache=shlex.quote(submission.cache),
        runs=shlex.quote(str(batch.runs)),
        cluster=shlex.quote(str(batch.submissions.cluster_path(submission.cluster).resolve())),
        seconds=submission.checkpoint_seconds,
        panels={None: "", True: " --panels", False: " --no-panels"}[submission.panels],
    )
    options = {
        "partition": finish.partition or cluster.partition,
        "gres": finish.gres,
        "cpus_per_task": finish.cpus,
        "mem": finish.memory,
        "time": finish.time,
        "setup": _setup(batch),
    }
    return _text(batch, command, options, {"signal": "B:TERM@30", "requeue": True, "output": f"{batch.folder}/%j.log"})


def _text(batch: Batch, command: str, options: dict[str, Any], more: dict[str, Any]) -> str:
    try:
        from harness.slurm.batch_file import batch_text
    except ImportError:
        raise ServiceError("submitit is not installed; pip install 'harness-ssl[slurm]'") from None
    cluster = batch.loaded.cluster
    own = {
        "account": cluster.account,
        "qos": cluster.qos,
        "job_name": batch.submission.name,
        "ntasks_per_node": 1,
        "additional_parameters": _lines(cluster) | more,
    }
    return batch_text(batch.folder, command, options | own)


def _lines(cluster: Cluster) -> dict[str, str | bool]:
    """The file's own options of sbatch."""
    found = [match for match in map(LINE.fullmatch, cluster.lines) if match is not None]
    return {match["name"]: match["value"] or True for match in found}


def _setup(batch: Batch) -> list[str]:
    """What the shell does before Python starts."""
    cluster = batch.loaded.cluster
    lines = [f"module load {shlex.quote(module)}" for module in cluster.modules]
    if cluster.local_data is not None:
        lines.append(f'export HARNESS_LOCAL_DATA="{cluster.local_data}"')
    if cluster.environment is None and cluster.container is None:
        root = Path(harness.__file__).resolve().parent.parent
        lines.append(f"export PYTHONPATH={shlex.quote(str(root))}${{PYTHONPATH:+:$PYTHONPATH}}")
    return lines


def _python(batch: Batch) -> str:
    """The command that is Python there."""
    cluster = batch.loaded.cluster
    if cluster.environment is not None:
        return shlex.quote(str(cluster.environment.expanduser().absolute() / "bin" / "python"))
    if cluster.container is None:
        return shlex.quote(sys.executable)
    cpus = cluster.cpus * cluster.units_at_once if batch.submission.bundles else (cluster.finish or cluster).cpus
    binds = ",".join((str(batch.runs), batch.submission.cache))
    image = cluster.container.expanduser().absolute()
    words = ["srun", "--ntasks=1", f"--cpus-per-task={cpus}", "apptainer", "exec", "--nv", "--bind", binds, str(image)]
    return shlex.join([*words, "python3"])
