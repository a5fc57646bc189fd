"""The cluster file: what a task asks Slurm for, where its Python is, and what Slurm refuses of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from harness.api.errors import UsageError, suggest
from harness.api.strict import Strict
from harness.slurm.client import SlurmRefusedError, ask
from harness.suite.load import LoadedSuite, MarkedText, read_marked

TIME = re.compile(r"(?:(?P<days>\d+)-)?(?:(?P<hours>\d+):)?(?P<minutes>\d+)(?P<seconds>:\d\d)?")
MEMORY = re.compile(r"(?P<amount>\d{1,12}(\.\d{1,6})?)\s*(?P<unit>[KMGT]?)(iB|B)?", re.IGNORECASE)
UNITS_MB = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}
LINE = re.compile(r"--(?P<name>[a-z][a-z-]*)(=(?P<value>.+))?")
OWN_LINES = {
    **dict.fromkeys(("time", "time-min"), "time"),
    **dict.fromkeys(("gres", "gpus", "gpus-per-node", "gpus-per-task"), "gpus and gpu_type"),
    **dict.fromkeys(("cpus-per-task", "ntasks", "ntasks-per-node", "nodes"), "cpus and runs_at_once"),
    **dict.fromkeys(("mem", "mem-per-cpu", "mem-per-gpu"), "memory"),
    **{name: name for name in ("partition", "account", "qos", "constraint")},
    "array": "max_parallel and max_array_size",
}
"""sbatch options that have a field of their own."""
HELD_LINES = ("signal", "requeue", "no-requeue", "open-mode", "output", "error", "job-name", "dependency", "wrap")
"""sbatch options that resuming depends on."""

FIELDS = re.compile(r"(\w+)=(\S*)")
DEFAULT_PARTITION = re.compile(r"^PartitionName=(\S+) .*\bDefault=YES\b", re.MULTILINE)

MEANINGS = (
    ("submitjob", "", "you may submit no more jobs, and each array task is one; run it again when some have ended"),
    ("wall", "time", "ask for less time, or for a partition or QOS that gives more"),
    ("invalid partition", "partition", "name one that `scontrol show partition` lists"),
    ("invalid account", "account", "name an account of yours that may use this partition (`sacctmgr show assoc`)"),
    ("invalid qos", "qos", "name a QOS of your account (`sacctmgr show qos`)"),
    ("invalid feature", "constraint", "name a feature that nodes of the partition have (`sinfo -o '%n %f'`)"),
    ("generic resource", "gpu_type", "name a type that nodes of the partition have (`sinfo -o '%n %G'`)"),
    ("accounting/qos policy", "", "a limit of your account or QOS (`sacctmgr show assoc`, `sacctmgr show qos`)"),
    ("time limit", "time", "ask for less time, or for a partition or QOS that gives more"),
    ("job array specification", "max_array_size", "set it below MaxArraySize (`scontrol show config`)"),
    ("memory", "memory", "ask for less memory: it is that of one run, times runs_at_once"),
    ("node count", "partition", "the partition has no node for this"),
)
"""Part of Slurm's message, in lower case; the field that it concerns, empty for none; what to do."""


def minutes(value: object) -> int:
    """Whole minutes, rounded up, from minutes, H:MM:SS or D-HH:MM:SS, which is how Slurm counts."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"give minutes or H:MM:SS, not {value!r}")
    text = str(value)
    match = TIME.fullmatch(text)
    if match is None or (":" in text and match["seconds"] is None) or (match["days"] and ":" not in text):
        raise ValueError(f"give minutes or H:MM:SS, not {text!r}")
    days, hours, whole = (int(match[name] or 0) for name in ("days", "hours", "minutes"))
    seconds = int((match["seconds"] or ":0")[1:])
    return (days * 24 + hours) * 60 + whole + (seconds > 0)


def mebibytes(value: object) -> str:
    """16G, 16GB, 1T, 1.5g or 16000, as people write memory; Slurm counts MiB where no unit stands."""
    match = MEMORY.fullmatch(str(value).strip())
    if isinstance(value, bool) or match is None or float(match["amount"]) <= 0:
        raise ValueError(f"give memory as 16G, 16000M or 1T, not {value!r}")
    mebi = float(match["amount"]) * UNITS_MB[match["unit"].upper() or "M"]
    return f"{round(mebi / 1024)}G" if mebi % 1024 == 0 else f"{max(1, math.ceil(mebi))}M"


def only_variables(value: str) -> str:
    """A path in which a shell expands $NAME and ${NAME}, and nothing else."""
    if not re.fullmatch(r"(?:[^\x00-\x1f\x7f\"`\\$]|\$\w+|\$\{\w+\})+", value):
        raise ValueError("give a path on one line; $NAME is a variable of the job, commands and quotes are refused")
    return value


Minutes = Annotated[int, BeforeValidator(minutes), Field(ge=1)]
Memory = Annotated[str, BeforeValidator(mebibytes)]
Word = Annotated[str, Field(pattern=r"^\S+$")]


class Finish(Strict):
    """The dependent job after the arrays: it makes the selection and submits the finals, or writes the leaderboard.

    partition: None for that of the arrays.
    gres:      for a partition that takes no job without a GPU.
    """

    partition: Word | None = None
    gres: Word | None = None
    cpus: int = Field(1, ge=1)
    memory: Memory = "4G"
    time: Minutes = 30


class Cluster(Strict):
    """What jobs ask for. gpus, cpus and memory are those of one run; a task has `runs_at_once` times as much.

    gpu_type:       the type in --gres=gpu:TYPE:N; where a site tells GPUs apart by features, name one in `constraint`.
    time:           of one array task: minutes, or H:MM:SS.
    run_time:       expected wall time of one run; None: as finished runs took.
    runs_at_once:   runs side by side in one array task, each on its own GPU or core.
    venv:           the folder of a Python environment; None: the Python that submits.
    container:      an Apptainer image with the harness in it: runs run through `srun apptainer exec --nv IMAGE`.
    max_parallel:   array tasks at once (%N).
    max_array_size: tasks of one array; Slurm's own limit is 1000 unless the site set another.
    exclude_failing: whether nodes that failed several tasks of the suite within a day get no more of it.
    max_restarts:   how often a task may start again, after time limits and preemption.
    local_data:     a folder on the nodes' own disks, as HARNESS_LOCAL_DATA; it may contain variables of the job.
    finish:         the dependent job; null: none, and `harness run` again does its work.
    lines:          more options of sbatch, such as --exclude=node7.
    """

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    gpus: Literal[0, 1] = 0
    gpu_type: Word | None = None
    cpus: int = Field(1, ge=1)
    memory: Memory = "4G"
    time: Minutes
    run_time: Minutes | None = None
    runs_at_once: int = Field(1, ge=1)
    modules: list[Word] = Field(default_factory=list)
    venv: Path | None = None
    container: Path | None = None
    max_parallel: int = Field(16, ge=1)
    max_array_size: int = Field(1000, ge=1)
    exclude_failing: bool = True
    max_restarts: int = Field(20, ge=0)
    local_data: Annotated[str, AfterValidator(only_variables)] | None = None
    finish: Finish | None = Finish()
    lines: list[str] = Field(default_factory=list)

    @field_validator("lines")
    @classmethod
    def _free_lines(cls, lines: list[str]) -> list[str]:
        for line in lines:
            match = LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"an option of sbatch is --name or --name=value, not {line!r}")
            if match["name"] in OWN_LINES:
                raise ValueError(f"{line!r}: set {OWN_LINES[match['name']]} instead")
            if match["name"] in HELD_LINES:
                raise ValueError(f"{line!r}: the harness sets this one, so that tasks go on after a stop")
        return lines

    @model_validator(mode="after")
    def _together(self) -> Cluster:
        if self.venv is not None and self.container is not None:
            raise ValueError("give venv or container, not both")
        if self.gpu_type is not None and not self.gpus:
            raise ValueError(f"gpu_type {self.gpu_type} without gpus: set gpus: 1")
        return self

    @property
    def memory_mb(self) -> int:
        """Memory of one run, in MiB."""
        return int(self.memory[:-1]) * (1024 if self.memory.endswith("G") else 1)

    @property
    def gres(self) -> str | None:
        """The GPUs of one task."""
        kind = f"gpu:{self.gpu_type}" if self.gpu_type else "gpu"
        return f"{kind}:{self.gpus * self.runs_at_once}" if self.gpus else None

    @property
    def excluded(self) -> list[str]:
        return [line.partition("=")[2] for line in self.lines if line.startswith("--exclude=")]

    @property
    def mixes_gpus(self) -> bool:
        """Whether Slurm may hand out GPUs of several models, which no leaderboard puts into one table."""
        return bool(self.gpus) and self.gpu_type is None and self.constraint is None

    @property
    def warning_seconds(self) -> int:
        """How long before its time limit a task is signalled to checkpoint; Slurm may do so a minute early."""
        return max(30, min(300, self.time * 60 // 10))


@dataclass(frozen=True)
class LoadedCluster(MarkedText):
    cluster: Cluster


def load_cluster(path: Path, *, check_paths: bool = True) -> LoadedCluster:
    """Read and validate a cluster file. Raises `UsageError` with all problems at once, each with its line and field.

    check_paths: whether `venv` and `container` must exist here.
    """
    if not path.is_file():
        raise UsageError(f"--cluster {path}: no such file; slurm/cluster.example.yaml is one to begin with")
    cluster, marked = read_marked(path, Cluster, "a cluster")
    loaded = LoadedCluster(path, marked.text, marked.lines, cluster)
    for name in ("venv", "container") if check_paths else ():
        given: Path | None = getattr(cluster, name)
        if given is not None and not given.expanduser().exists():
            raise loaded.error((name,), f"{given} does not exist")
    return loaded


def refuse_adaptive(loaded: LoadedSuite, suite: str) -> None:
    """Refuse an adaptive search: it decides while it runs, so it needs one allocation with a Ray in it."""
    search = loaded.suite.search
    if search is not None and search.mode == "adaptive":
        raise loaded.error(
            ("search", "mode"),
            f"an adaptive search runs within one allocation: SUITE={suite} sbatch slurm/sweep.sh; "
            "--executor slurm runs headline and grid searches",
        )


def refuse_mixed_gpus(cluster: LoadedCluster, loaded: LoadedSuite) -> None:
    """Refuse to calibrate where Slurm may hand out several GPU models: what steps cost is measured on one."""
    suite = loaded.suite
    if cluster.cluster.mixes_gpus and suite.budget.currency == "reference_steps" and suite.calibration is None:
        raise cluster.error(
            ("gpus",),
            "under reference steps the calibration job and the arrays need one GPU model: set gpu_type or constraint "
            "here, or name a `calibration` in the suite",
        )


def check_partitions(loaded: LoadedCluster) -> None:
    """Check partitions and times by one call of scontrol. Raises `UsageError` with the line of the wrong field.

    Slurm itself lets a job that is too long for its partition wait for ever.
    """
    cluster, shown = loaded.cluster, ask("scontrol", "--oneliner", "show", "partition")
    known, usual = read_partitions(shown), ",".join(DEFAULT_PARTITION.findall(shown))
    requests = [("partition", cluster.partition or usual, cluster.time)]
    if cluster.finish:
        requests += [("finish", cluster.finish.partition or cluster.partition or usual, cluster.finish.time)]
    for field, name, time in requests:
        for partition in name.split(",") if name else ():  # Slurm takes whichever of several starts first
            if partition not in known:
                raise loaded.error((field,), f"unknown partition {partition!r}; {suggest(partition, known)}")
            most = known[partition]
            if most is not None and time > most:
                where = "time" if field == "partition" else field
                raise loaded.error(
                    (where,), f"partition {partition} ends jobs after {most} minutes; {time} are asked for"
                )


def read_partitions(text: str) -> dict[str, int | None]:
    """Partition -> the most minutes of a job, None without a limit."""
    limits: dict[str, int | None] = {}
    for line in text.splitlines():
        fields = dict(FIELDS.findall(line))
        if "PartitionName" in fields:
            limit = fields.get("MaxTime", "UNLIMITED")
            limits[fields["PartitionName"]] = None if limit in ("UNLIMITED", "NONE", "") else minutes(limit)
    return limits


def explain_array_refusal(refusal: SlurmRefusedError, loaded: LoadedCluster) -> UsageError:
    """A refusal at the field that it concerns. If Slurm does not say which, all that a node must have."""
    message = refusal.message.lower()
    if "node configuration is not available" in message:
        cluster = loaded.cluster
        field = "gpu_type" if cluster.gpu_type is not None else "gpus" if cluster.gpus else "cpus"
        return loaded.error((field,), f"Slurm refuses: {refusal.message}; {_node_request(cluster)}")
    for phrase, field, what in MEANINGS:
        if phrase in message:
            return loaded.error((field,) if field else (), f"Slurm refuses: {refusal.message}; {what}")
    return UsageError(f"{loaded.path}: Slurm refuses: {refusal.message}")


def explain_dependent_refusal(refusal: SlurmRefusedError, loaded: LoadedCluster) -> UsageError:
    """The refusal of the dependent job, whose arrays are submitted already."""
    what = "the jobs before it stay; once this is mended, the same command again submits that job alone"
    return loaded.error(("finish",), f"Slurm refuses the dependent job: {refusal.message}; {what}")


def _node_request(cluster: Cluster) -> str:
    lanes = cluster.runs_at_once
    wants = [f"{cluster.cpus * lanes} cpus", f"{cluster.memory_mb * lanes} MB"]
    wants += [f"--gres={cluster.gres}"] if cluster.gres else []
    wants += [f"feature {cluster.constraint}"] if cluster.constraint else []
    where = f"partition {cluster.partition}" if cluster.partition else "the default partition"
    return f"no node of {where} has {', '.join(wants)}; `sinfo -o '%P %n %c %m %G %f'` shows what nodes have"
