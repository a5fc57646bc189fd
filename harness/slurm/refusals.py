"""Slurm's refusals, explained by the fields of the cluster file."""

from __future__ import annotations

from harness.api.errors import UsageError
from harness.slurm.client import SlurmRefusedError
from harness.slurm.cluster import LoadedCluster

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


def explain_array_refusal(refusal: SlurmRefusedError, loaded: LoadedCluster) -> UsageError:
    """Explain a refusal at the field that it concerns. If Slurm does not say which, list all that a node must have."""
    message = refusal.message.lower()
    if "node configuration is not available" in message:
        return loaded.error(_node_field(loaded), f"Slurm refuses: {refusal.message}; {_node_request(loaded)}")
    for phrase, field, what in MEANINGS:
        if phrase in message:
            return loaded.error(field, f"Slurm refuses: {refusal.message}; {what}")
    return UsageError(f"{loaded.path}: Slurm refuses: {refusal.message}")


def explain_dependent_refusal(refusal: SlurmRefusedError, loaded: LoadedCluster) -> UsageError:
    """Explain the refusal of the dependent job, whose arrays are submitted already."""
    what = "the arrays before it stay; once this is mended, `harness run` again submits that job alone"
    return loaded.error("finish", f"Slurm refuses the dependent job: {refusal.message}; {what}")


def _node_field(loaded: LoadedCluster) -> str:
    cluster = loaded.cluster
    if cluster.gpu_type is not None:
        return "gpu_type"
    return "gpus" if cluster.gpus else "cpus"


def _node_request(loaded: LoadedCluster) -> str:
    cluster = loaded.cluster
    lanes = cluster.runs_at_once
    wants = [f"{cluster.cpus * lanes} cpus", f"{cluster.memory_mb * lanes} MB"]
    wants += [f"--gres={cluster.gres}"] if cluster.gres else []
    wants += [f"feature {cluster.constraint}"] if cluster.constraint else []
    where = f"partition {cluster.partition}" if cluster.partition else "the default partition"
    return f"no node of {where} has {', '.join(wants)}; `sinfo -o '%P %n %c %m %G %f'` shows what nodes have"
