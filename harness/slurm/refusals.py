"""What Slurm refuses, explained by the fields of the cluster file; partitions and times before anything is sent."""

from __future__ import annotations

import re

from harness.api.errors import UsageError, suggest
from harness.slurm.client import SlurmRefusedError, ask
from harness.slurm.cluster import Cluster, LoadedCluster, minutes

FIELDS = re.compile(r"(\w+)=(\S*)")

MEANINGS = (
    ("invalid partition", "partition", "name one that `scontrol show partition` lists"),
    ("invalid account", "account", "name an account of yours that may use this partition (`sacctmgr show assoc`)"),
    ("invalid qos", "qos", "name a QOS of your account (`sacctmgr show qos`)"),
    ("invalid feature", "constraint", "name a feature that nodes of the partition have (`sinfo -o '%n %f'`)"),
    ("generic resource", "gpu_type", "name a type that nodes of the partition have (`sinfo -o '%n %G'`)"),
    ("time limit", "time", "ask for less time, or for a partition or QOS that gives more"),
    ("job array specification", "max_array_size", "set it below MaxArraySize (`scontrol show config`)"),
    ("memory", "memory", "ask for less memory: it is that of one run, times runs_at_once"),
    ("node count", "partition", "the partition has no node for this"),
)
"""Part of Slurm's message, in lower case; the field that it concerns; what to do."""


def check_partitions(loaded: LoadedCluster) -> None:
    """Check partitions and times by one call of scontrol. Raises `UsageError` with the line of the wrong field.

    Slurm itself accepts a job that is too long for its partition, and lets it wait for ever.
    """
    cluster, known = loaded.cluster, read_partitions(ask("scontrol", "--oneliner", "show", "partition"))
    requests = [("partition", cluster.partition, cluster.time)]
    requests += [("finish", cluster.finish.partition, cluster.finish.time)] if cluster.finish else []
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
    """Return partition -> the most minutes of a job, None without a limit."""
    limits: dict[str, int | None] = {}
    for line in text.splitlines():
        fields = dict(FIELDS.findall(line))
        if "PartitionName" in fields:
            limit = fields.get("MaxTime", "UNLIMITED")
            whole = None if limit in ("UNLIMITED", "NONE", "") else minutes(limit)
            limits[fields["PartitionName"]] = whole if isinstance(whole, int) else None
    return limits


def explain_array_refusal(refusal: SlurmRefusedError, loaded: LoadedCluster) -> UsageError:
    """Explain a refusal at the field that it concerns. If Slurm does not say which, list all that a node must have."""
    message = refusal.message.lower()
    if "node configuration is not available" in message:
        cluster = loaded.cluster
        field = "gpu_type" if cluster.gpu_type is not None else "gpus" if cluster.gpus else "cpus"
        return loaded.error((field,), f"Slurm refuses: {refusal.message}; {_node_request(cluster)}")
    for phrase, field, what in MEANINGS:
        if phrase in message:
            return loaded.error((field,), f"Slurm refuses: {refusal.message}; {what}")
    return UsageError(f"{loaded.path}: Slurm refuses: {refusal.message}")


def explain_dependent_refusal(refusal: SlurmRefusedError, loaded: LoadedCluster) -> UsageError:
    """Explain the refusal of the dependent job, whose arrays are submitted already."""
    what = "the arrays before it stay; once this is mended, `harness run` again submits that job alone"
    return loaded.error(("finish",), f"Slurm refuses the dependent job: {refusal.message}; {what}")


def _node_request(cluster: Cluster) -> str:
    lanes = cluster.runs_at_once
    wants = [f"{cluster.cpus * lanes} cpus", f"{cluster.memory_mb * lanes} MB"]
    wants += [f"--gres={cluster.gres}"] if cluster.gres else []
    wants += [f"feature {cluster.constraint}"] if cluster.constraint else []
    where = f"partition {cluster.partition}" if cluster.partition else "the default partition"
    return f"no node of {where} has {', '.join(wants)}; `sinfo -o '%P %n %c %m %G %f'` shows what nodes have"
