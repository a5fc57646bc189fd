"""The batch files: what they ask Slurm for, and what the shell does around Python: signals and requeuing.

submitit writes them around a command of our own. Its pickled functions are not used because of their signal handlers:
they ignore SIGTERM, so that preemption without grace time loses everything; in jobs of ten minutes they take every
signal for a time-out; their SIGUSR2 would end a trial of a search for good. Inside a container they have no scontrol to
requeue with.
"""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from harness.api.errors import InterruptedRunError, ServiceError, UsageError
from harness.slurm.cluster import LINE, Cluster
from harness.slurm.record import Submission, Submissions

STARTING_KILLED = (138, 143)
"""Exit codes of a child that USR1 or TERM killed: our Python, before it handled signals."""

LISTEN = """\
# USR1 comes before the time limit, TERM with preemption and scancel; Python checkpoints, and what is left is requeued
stopped= driver=
trap 'stopped=1; [ -z "$driver" ] || kill -USR1 "$driver" 2>/dev/null' USR1 TERM"""

RUN = """\
code={interrupted}
if [ -z "$stopped" ]; then
  {command} &
  driver=$!
  while kill -0 "$driver" 2>/dev/null; do wait "$driver"; done  # a trap interrupts it
  wait "$driver"
  code=$?
fi
case $code in {codes}) ;; *) exit "$code" ;; esac
task={job}
if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {restarts} ]; then
  # not where somebody cancelled it, nor where Slurm requeues it by itself; PreemptMode=CANCEL would end it for good
  job=$(scontrol --oneliner show job "$task") begun=9
  [[ $job =~ " StartTime="([0-9T:-]+) ]] && begun=${{BASH_REMATCH[1]}}
  [[ $job =~ " PreemptTime="([0-9T:-]+) && ! ${{BASH_REMATCH[1]}} < $begun ]] && job=preempted
  case $job in {cases}) scontrol requeue "$task" ;; esac
fi
exit "$code\""""


ARRAY_TASK = "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID  # the bare id of one task is at times that of the whole array"


@dataclass(frozen=True)
class Batch:
    """The batch file of one submission, made from a cluster file."""

    submissions: Submissions
    submission: Submission
    cluster: Cluster

    def array_text(self) -> str:
        array = {"array_parallelism": self.cluster.max_parallel, "map_count": len(self.submission.tasks)}
        return self._requeued_text(self.cluster, array, '"$SLURM_ARRAY_TASK_ID"', ARRAY_TASK, "%A_%a.log")

    def calibration_text(self) -> str:
        """The file of a calibration, which asks for what one run does: entries are measured one after the other."""
        return self._requeued_text(
            self.cluster.model_copy(update={"runs_at_once": 1}), {}, "", "$SLURM_JOB_ID", "%j.log"
        )

    def _requeued_text(self, cluster: Cluster, more: dict[str, Any], index: str, job: str, log: str) -> str:
        """The file of a job that goes on after a stop. job: its id in the shell; index: that of its task."""
        cpus = cluster.cpus * cluster.runs_at_once
        codes = (InterruptedRunError.exit_code, *STARTING_KILLED)
        command = self._command(cpus, index, job, codes, "preempted|*JobState=RUNNING*|*Reason=TimeLimit*")
        options = {
            "partition": cluster.partition,
            "constraint": cluster.constraint,
            "gres": cluster.gres,
            "cpus_per_task": cpus,
            "mem": f"{cluster.memory_mb * cluster.runs_at_once}M",
            "time": cluster.time,
            "setup": [LISTEN, *self._setup()],
        }
        return self._text(command, options | more, signal=f"B:USR1@{cluster.warning_seconds}", log=log)

    def dependent_text(self) -> str:
        finish = self.cluster.finish
        assert finish is not None, "the cluster file turns it off"
        options = {
            "partition": finish.partition or self.cluster.partition,
            "gres": finish.gres,
            "cpus_per_task": finish.cpus,
            "mem": finish.memory,
            "time": finish.time,
            "setup": [LISTEN, *self._setup()],
        }
        # its 75 says that runs are left, which another start would not change
        command = self._command(finish.cpus, "", "$SLURM_JOB_ID", STARTING_KILLED, "preempted")
        return self._text(command, options, signal="B:TERM@30", log="%j.log")

    def _command(self, cpus: int, index: str, job: str, codes: Sequence[int], cases: str) -> str:
        """Python, and what comes after it. codes: after which, and cases: in which, the job is requeued."""
        record = shlex.quote(str(self.submissions.path(self.submission).resolve()))
        return RUN.format(
            interrupted=InterruptedRunError.exit_code,
            codes="|".join(map(str, codes)),
            command=f"{self._python(cpus)} -P -m harness slurm-task {record} {index}".rstrip(),
            job=job,
            restarts=self.cluster.max_restarts,
            cases=cases,
        )

    def _text(self, command: str, options: dict[str, Any], signal: str, log: str) -> str:
        try:
            from submitit.slurm.slurm import _make_sbatch_string
        except ImportError:
            raise ServiceError("submitit is not installed; pip install 'harness-ssl[slurm]'") from None
        folder = self.submissions.folder.resolve()
        self._refuse_unwritable(folder)
        logs = str(folder).replace("%", "%%")  # which begins a pattern there
        lines = [match for match in map(LINE.fullmatch, self.cluster.lines) if match is not None]
        more: dict[str, str | bool] = {match["name"]: match["value"] or True for match in lines}
        own = {
            "account": self.cluster.account,
            "qos": self.cluster.qos,
            "job_name": self.submission.name,
            "ntasks_per_node": 1,
            "wckey": None,
            "use_srun": False,
            "stderr_to_stdout": True,
            "additional_parameters": more | {"signal": signal, "requeue": True, "output": f"{logs}/{log}"},
        }
        return _make_sbatch_string(command, folder, **options | own)

    def _refuse_unwritable(self, folder: Path) -> None:
        """Raise `UsageError` for a path that would not be read from the file as it is."""
        cluster = self.cluster
        for path in (folder, cluster.venv, cluster.container):
            if path is not None and (not str(path).isprintable() or "\\" in str(path)):
                raise UsageError(
                    f"{str(path)!r}: a batch file cannot hold a backslash or control characters; use another path"
                )
        for bound in (str(folder), self.submission.cache) if cluster.container is not None else ():
            if set(",:") & set(bound):
                raise UsageError(f"{bound}: a container is given folders without a comma or colon; use another one")

    def _setup(self) -> list[str]:
        cluster = self.cluster
        lines = [f"module load {shlex.quote(module)}" for module in cluster.modules]
        if cluster.local_data is not None:
            lines.append(f'export HARNESS_LOCAL_DATA="{cluster.local_data}"')
        if cluster.venv is None and cluster.container is None:
            root = Path(harness.__file__).resolve().parent.parent
            lines.append(f"export PYTHONPATH={shlex.quote(str(root))}${{PYTHONPATH:+:$PYTHONPATH}}")
        return lines

    def _python(self, cpus: int) -> str:
        if self.cluster.venv is not None:
            return shlex.quote(str(self.cluster.venv.expanduser().absolute() / "bin" / "python"))
        if self.cluster.container is None:
            return shlex.quote(sys.executable)
        binds = f"{self.submissions.root.parent.resolve()},{self.submission.cache}"
        image = str(self.cluster.container.expanduser().absolute())
        step = ["srun", "--ntasks=1", f"--cpus-per-task={cpus}"]
        return shlex.join([*step, "apptainer", "exec", "--nv", "--bind", binds, image, "python3"])
